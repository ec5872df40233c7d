"""``python -m hack.run``: exit status 0 if the Experiment succeeded."""

import asyncio
import signal
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from hack.run.errors import RunError
from hack.run.experiment import read_experiment
from hack.run.local import run_local
from hack.run.options import Options, parse_options
from hack.run.remote import run_remote
from hack.run.steps import Steps
from kfx.kube.credentials import CredentialsError
from kfx.kube.errors import ApiError, TransportError
from kfx.runtime.controller import leaves
from kfx.runtime.log import configure_logging

INTERRUPTED = 130
EXPECTED = (RunError, ApiError, TransportError, CredentialsError)


def main(argv: Sequence[str] | None = None) -> int:
    """0: succeeded. 1: it did not. 2: asked wrongly. 130: interrupted, everything taken down."""
    configure_logging("error", "text")  # a watch that is set up again is no news to a person at a table
    console = Console(highlight=False)
    try:
        options = parse_options(sys.argv[1:] if argv is None else argv)
        return asyncio.run(_run(options, Steps(console)))
    except EXPECTED as error:
        return tell(console, [error])
    except ExceptionGroup as group:
        expected, others = group.split(EXPECTED)
        if others or not expected:
            raise
        return tell(console, list(leaves(expected)))


def tell(console: Console, errors: Sequence[BaseException]) -> int:
    """Print what went wrong and return the exit status."""
    for error in errors:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
    return max(error.status if isinstance(error, RunError) else 1 for error in errors)


async def _run(options: Options, steps: Steps) -> int:
    """Ctrl-C and SIGTERM cancel the run, once; leaving its blocks takes everything down."""
    manifest = read_experiment(options.experiment)
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101 — a coroutine that runs has a task

    def interrupt() -> None:
        if task.cancelling() == 0:
            steps.say("interrupted: taking everything down")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await (run_remote if options.kubeconfig else run_local)(options, manifest, steps)
    except asyncio.CancelledError:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
