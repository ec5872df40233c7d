"""Whether and how spans are recorded: OpenTelemetry, an extra that nobody pays for who does not ask for it.

This module loads nothing of OpenTelemetry; what does (``spans``, ``span_export``) is loaded when it is asked.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfx.runtime.spans import Spans

PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


class TracingUnavailable(Exception):
    """OpenTelemetry's packages are not installed; the text says how they are."""


def check_installed() -> None:
    """Load OpenTelemetry. Raises TracingUnavailable where a package is missing."""
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError as missing:
            raise TracingUnavailable(
                f"spans need OpenTelemetry's packages, and {missing.name or name} is not installed: "
                "pip install 'kfx[otel]'"
            ) from None


@asynccontextmanager
async def recording_spans(service: str, version: str, *, endpoint: str = "") -> AsyncIterator["Spans"]:
    """Record spans inside the block and send them by OTLP over HTTP, in batches and beside the event loop.

    ``endpoint``: URL of the collector, such as ``http://collector:4318``; without a path, ``/v1/traces`` is
    meant. ``""`` leaves that to the variables ``OTEL_EXPORTER_OTLP_…``, which set everything else too;
    ``OTEL_SERVICE_NAME`` wins over ``service``. Spans that cannot be delivered are lost. Raises
    TracingUnavailable.
    """
    check_installed()
    from kfx.runtime.span_export import exporting  # noqa: PLC0415 — loads OpenTelemetry
    from kfx.runtime.spans import Spans  # noqa: PLC0415 — loads OpenTelemetry

    async with exporting(service, version, endpoint=endpoint) as provider:
        yield Spans(provider.get_tracer("kfx.runtime", version))
