"""Makes every part of the process and joins them; the only place that knows them all."""

import asyncio
from contextlib import AsyncExitStack

from kfx import __version__
from kfx.build.controllers import build_controllers
from kfx.build.parts import Parts, utc_now
from kfx.build.servers import build_servers
from kfx.config import Config
from kfx.kube.credentials import CredentialsError, load_credentials
from kfx.kube.transport import Transport
from kfx.runtime.address import InvalidAddress, ListenError
from kfx.runtime.log import get_logger
from kfx.runtime.manager import Manager
from kfx.runtime.pki import CertificateError
from kfx.runtime.tracing import recording_spans
from kfx.store.errors import StoreError
from kfx.store.observations import ObservationStore

__all__ = ["FORESEEN", "Parts", "build_manager", "serve", "utc_now"]

GRACE_PERIOD = 20.0  # seconds after --shutdown-delay for work in hand; the rest then closes within 10 s
FORESEEN = (CredentialsError, StoreError, ListenError, InvalidAddress, CertificateError)
"""What keeps kfx from running until a person mends it; the text names the flag or file and the remedy."""

log = get_logger("kfx")


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Run kfx until ``stop`` is set.

    Raises what is in FORESEEN where it cannot start, LeadershipLost where another replica took over (each
    alone or in an ExceptionGroup), and TimeoutError where work in hand did not end in time.
    """
    for warning in config.warnings:
        log.warning("without effect", problem=warning)
    credentials = load_credentials(config.kubeconfig)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(ObservationStore.open(config.sqlite_path))
        spans = None
        if config.tracing_by:
            spans = await stack.enter_async_context(
                recording_spans("kfx", __version__, endpoint=config.tracing_endpoint)
            )
        opening = spans.transport(credentials) if spans else Transport.open(credentials)
        transport = await stack.enter_async_context(opening)
        asked_by = config.tracing_by or "off"
        log.info("starting", version=__version__, server=credentials.server, tracing=asked_by)
        await build_manager(Parts(config, credentials, transport, store, stop, spans=spans)).run(stop)


def build_manager(parts: Parts) -> Manager:
    """The life of it all."""
    controllers = build_controllers(parts)
    return Manager(
        servers=build_servers(parts, controllers),
        cache=parts.cache,
        elector=parts.elector,
        controllers=controllers,
        background=[
            parts.loop_lag,
            parts.foreign,
            parts.registries,
            *parts.metrics_certificates,
            *parts.recorders.values(),
        ],
        after_sync=[parts.foreign.gone],
        shutdown_delay=parts.config.shutdown_delay,
        grace_period=GRACE_PERIOD,
    )
