"""From the arguments of ``kfx get`` and its like to an exit status."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kfx import __version__
from kfx.commands.session import Failure, Session
from kfx.kube.client import Client
from kfx.kube.credentials import CredentialsError, load_credentials
from kfx.kube.errors import ApiError, TransportError
from kfx.runtime.log import configure_logging

FORESEEN = (Failure, CredentialsError, ApiError, TransportError)
INTERRUPTED = 130  # as a shell reports a process that SIGINT has ended


def run(command: str, given: Namespace) -> int:
    """Run ``kfx COMMAND`` as :func:`kfx.commands.arguments.parse` understood it; the exit status."""
    configure_logging(level="error", format="text")
    try:
        return asyncio.run(_run(command, given))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return 0
    except FORESEEN as failed:
        sys.stderr.write(f"error: {failed}\n")
        return 1


async def _run(command: str, given: Namespace) -> int:
    if command == "explain":
        from kfx.commands.explain import explain  # noqa: PLC0415 — each command loads its own

        return await explain(given, lambda: connect(given))
    async with connect(given) as session:
        if command == "get":
            from kfx.commands.get import get  # noqa: PLC0415

            return await get(given, session)
        from kfx.commands.describe import describe  # noqa: PLC0415

        return await describe(given, session)


@asynccontextmanager
async def connect(given: Namespace) -> AsyncIterator[Session]:
    """The API server and the namespace that are meant. Raises CredentialsError."""
    credentials = load_credentials(given.kubeconfig or None, home_first=True)
    namespace = given.namespace or credentials.namespace or credentials.own_namespace() or "default"
    async with Client.connect(credentials, user_agent=f"kfx/{__version__} cli") as client:
        yield Session(client=client, namespace=namespace)


def _drop_output() -> None:
    """The reader is gone (``| head``): nothing may be flushed to it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
