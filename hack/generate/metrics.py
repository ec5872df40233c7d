"""``docs/reference/metrics.md``: every series that the process shows, taken from the process itself."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from hack.generate import markdown
from kfx.build import Parts, build_manager
from kfx.config import load_config
from kfx.kube.credentials import Credentials
from kfx.kube.transport import Transport
from kfx.store.observations import ObservationStore

Row = tuple[str, str, str, str]

_OF_THE_MACHINE = (ProcessCollector, GCCollector, PlatformCollector)


def render() -> str:
    """The page's text."""
    intro = (
        "Served on `--metrics-addr`, beside prometheus_client's own `process_*` and `python_*`. A histogram "
        "has the series `_bucket`, `_sum` and `_count`. Names and labels without `kfx_` are those of Katib, "
        "controller-runtime and client-go. A series with labels may be missing until there is something to "
        "count."
    )
    rows = markdown.table(("metric", "type", "labels", "meaning"), asyncio.run(_families()))
    return markdown.page("Metrics", "the registry of `kfx.build.Parts`", intro, rows)


async def _families() -> list[Row]:
    """Of a process that is wired up with all that may show something, and never begins."""
    credentials = Credentials("http://127.0.0.1:1")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tls.crt", "tls.key"):
            Path(folder, name).write_text("never read")
        config = load_config([f"--cert-dir={folder}", "--enable-leader-election"], {})
        async with (
            ObservationStore.open(Path(folder) / "observations.db") as store,
            Transport.open(credentials) as transport,
        ):
            parts = Parts(config, credentials, transport, store)
            build_manager(parts)
            return sorted(_rows(parts.metrics.registry))


def _rows(registry: CollectorRegistry) -> Iterator[Row]:
    # a registry does not tell the labels of a family without series; its collectors know them
    for collector in registry._collector_to_names:
        if not isinstance(collector, _OF_THE_MACHINE):
            for family in collector.collect():
                name = f"{family.name}_total" if family.type == "counter" else family.name
                shown = ", ".join(f"`{label}`" for label in _labels(collector, family))
                yield f"`{name}`", family.type, shown, family.documentation


def _labels(collector: Collector, family: Metric) -> Sequence[str]:
    stated: Iterable[str] | None = getattr(collector, "_labelnames", None)
    if stated is not None:
        return tuple(stated)
    return [label for label in family.samples[0].labels if label != "le"] if family.samples else ()
