"""``kfx metrics-collector``: wait for the training, read its metrics, report them, end."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from kfx.collector.arguments import Arguments, parse_arguments, usage
from kfx.collector.errors import CollectorError, UsageError
from kfx.collector.metrics_log import collect, json_parser, text_parser
from kfx.collector.processes import ProcessTable, Training
from kfx.collector.report import Channel, own_namespace, report
from kfx.collector.tail import Tail
from kfx.collector.wire import encode_requests


def main(words: Sequence[str]) -> int:
    """Status 0 when the metrics are stored, 1 when they could not be, 2 for an unusable command line.

    Any other status than 0 fails the pod, and with it the trial.
    """
    if words and words[0] in {"-h", "--h", "-help", "--help"}:
        sys.stdout.write(usage())
        return 0
    try:
        run(parse_arguments(words))
    except UsageError as error:
        _say(f"{error}\n{usage()}")
        return 2
    except CollectorError as error:
        _say(str(error))
        return 1
    return 0


def run(arguments: Arguments, table: ProcessTable | None = None) -> None:
    """Collects for one trial. Raises CollectorError."""
    ending = _hear_the_end() if arguments.native else None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # kept back since the program started
    path = Path(arguments.path)
    # Before the wait: a filter that cannot be used should not cost a training.
    parse = (
        json_parser(arguments.metrics)
        if arguments.format == "JSON"
        else text_parser(arguments.metrics, arguments.filters)
    )
    tail = Tail(path, sys.stdout.buffer)
    training = Training(
        table or ProcessTable(),
        path,
        poll_interval=arguments.poll_interval,
        ending=ending,
    )
    try:
        training.wait(wait_all=arguments.wait_all, timeout=arguments.timeout, on_poll=tail.copy)
    finally:
        tail.copy()  # the last words of a training that failed matter most
    values = collect(path, parse, arguments.metrics[0])
    with Channel(arguments.store_address, own_namespace()) as channel:
        report(encode_requests(arguments.trial, values), channel.send, address=arguments.store_address)
    _say(f"reported the metrics of trial {arguments.trial} to {arguments.store_address}")
    if arguments.native:
        training.stay()


def _hear_the_end() -> Callable[[], bool]:
    """Whether SIGTERM has come; from here on it ends nothing by itself: there is still a report to send."""
    heard = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: heard.set())
    return heard.is_set


def _say(text: str) -> None:
    sys.stderr.write(f"kfx metrics-collector: {text}\n")
    sys.stderr.flush()
