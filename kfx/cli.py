"""From the command line to an exit status.

``kfx [flags]`` runs the controllers; ``kfx metrics-collector`` runs beside a training container,
``kfx cert-generator`` once at installation; ``kfx get``, ``describe`` and ``explain`` ask a cluster. Nothing
heavy is imported before the flags are known to be good.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from kfx import __version__
from kfx.config import FLAGS, Config, load_config
from kfx.flags import FlagError, HelpRequested, complain, usage

COMMANDS = {
    "metrics-collector": "report a training container's metrics",
    "cert-generator": "issue the webhooks' certificate once, as a Job",
    "get": "list Experiments, Trials or Suggestions",
    "describe": "show one of them on one screen",
    "explain": "say why an Experiment is stuck, and what to do",
    "version": "print the version",
}
QUESTIONS = ("get", "describe", "explain")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what ``argv`` asks for and return the exit status.

    0: ended as asked. 1: a failure, named in the log. 2: the command line was wrong.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["metrics-collector"]:
        from kfx import collector  # noqa: PLC0415 — the collector must not pay for the controllers

        return collector.main(words[1:])
    if words[:1] == ["cert-generator"]:
        from kfx import cert_command  # noqa: PLC0415

        return cert_command.main(words[1:])
    if words and words[0] in QUESTIONS:
        return _ask(words)
    if words[:1] == ["version"]:
        sys.stdout.write(f"kfx {__version__}\n")
        return 0
    try:
        config = load_config(words, program=sys.argv[0])
    except HelpRequested:
        sys.stdout.write(usage("kfx", FLAGS, commands=COMMANDS))
        return 0
    except FlagError as error:
        sys.stderr.write(complain("kfx", error, usage("kfx", FLAGS, commands=COMMANDS)))
        return 2
    return _run(config)


def _ask(words: Sequence[str]) -> int:
    """A question to a cluster; ``-h`` is answered before a client is loaded."""
    from kfx.commands.arguments import parse  # noqa: PLC0415

    command, *rest = words
    try:
        given = parse(command, rest)
    except SystemExit as ended:
        return int(ended.code or 0)
    from kfx.commands.run import run  # noqa: PLC0415

    return run(command, given)


def _run(config: Config) -> int:
    if config.tracing_by and (missing := _missing_for_spans()):
        sys.stderr.write(f"{config.tracing_by}: {missing}\n")
        return 2
    import uvloop  # noqa: PLC0415 — `kfx --help` does without

    from kfx.build import serve  # noqa: PLC0415
    from kfx.runtime.log import configure_logging  # noqa: PLC0415

    configure_logging(level=config.log_level, format=config.log_format)
    stop = asyncio.Event()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(lambda: serve(config, stop), stop))
    except BaseException as failure:  # noqa: BLE001 — the last line of the process: named, then a status
        return _report(failure, stopping=stop.is_set())
    return 0


def _missing_for_spans() -> str:
    from kfx.runtime.tracing import TracingUnavailable, check_installed  # noqa: PLC0415

    try:
        check_installed()
    except TracingUnavailable as missing:
        return str(missing)
    return ""


async def _until_signalled(work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """SIGTERM or SIGINT sets ``stop``; the second one ends the process where it stands."""

    def interrupt() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupt)
    await work()


def _report(failure: BaseException, *, stopping: bool) -> int:
    """One log line for each cause; those a person can mend come without a traceback."""
    from kfx.build import FORESEEN  # noqa: PLC0415
    from kfx.runtime.controller import leaves  # noqa: PLC0415
    from kfx.runtime.leader import LeadershipLost  # noqa: PLC0415
    from kfx.runtime.log import get_logger  # noqa: PLC0415

    log = get_logger("kfx")
    if stopping and isinstance(failure, TimeoutError):
        log.warning("stopped; work in hand was cut off, whoever leads next does it again")
        return 0
    for cause in leaves(failure):
        if isinstance(cause, LeadershipLost):
            log.error("stopped: another replica may lead now", error=str(cause))
        elif isinstance(cause, FORESEEN):
            log.error("cannot run", error=str(cause))
        else:
            log.error("stopped by a defect", error=f"{type(cause).__name__}: {cause}", exc_info=cause)
    return 1
