"""What the process is at, for whoever is logged in to its machine: tasks, queues, caches, memory.

Counts, names and places in the code; never an object or what is in it. On the loopback interface only.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web

from kfx.runtime import inspection
from kfx.runtime.address import InvalidAddress, is_loopback, parse_address
from kfx.runtime.cache import Following
from kfx.runtime.inspection import Row
from kfx.runtime.optional_server import OptionalServer, plain
from kfx.runtime.workqueue import Priority, QueueState

MIB = 1024 * 1024
COLUMN_GAP = 3
MOST_PLACES = 5  # in one line of text; JSON has them all
PAGES = ("/debug/tasks", "/debug/queues", "/debug/caches", "/debug/memory")
INDEX = "".join(f"{path}\n" for path in PAGES) + "?format=json for machines\n"
FOREIGN = (
    "403 the Host header names no loopback address: ask for 127.0.0.1, [::1] or localhost, "
    "from afar through kubectl port-forward\n"
)
NOT_TRACING = "tracemalloc is off; start with PYTHONTRACEMALLOC=1 to see which lines hold how much\n"


@dataclass(frozen=True, slots=True)
class Page:
    """Tables by name, and a word to people below them."""

    tables: Mapping[str, Sequence[Row]]
    note: str = ""


class DebugServer(OptionalServer):
    """``/debug/tasks``, ``/debug/queues``, ``/debug/caches`` and ``/debug/memory``.

    ``addr``: ``host:port`` with a loopback host, or ``0`` for none. ``queues``: how each controller's queue
    stands, by the controller's name. ``caches``: :meth:`kfx.runtime.cache.Cache.states`. Raises
    InvalidAddress, for an address that others can reach too.
    """

    def __init__(
        self,
        addr: str,
        *,
        queues: Mapping[str, Callable[[], QueueState]],
        caches: Callable[[], Sequence[Following]],
        flag: str = "--debug-addr",
    ) -> None:
        address = parse_address(addr, flag=flag)
        if address is not None and not is_loopback(address.host):
            raise InvalidAddress(
                f"{flag}: {addr[:80]!r} is no loopback address: write 127.0.0.1:6060 or [::1]:6060, "
                "or 0 for none"
            )
        if address is not None and address.host.lower() == "localhost":
            addr = f"127.0.0.1:{address.port}"  # what a resolver makes of the name is not certain
        super().__init__(addr, self._answer, flag=flag)
        self._queues = queues
        self._caches = caches
        self._one_at_a_time = asyncio.Lock()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not is_loopback(_host(request.headers.get("Host", ""))):
            return plain(403, FOREIGN)  # a web page whose name was made to lead here: DNS rebinding
        if request.method not in {"GET", "HEAD"}:
            return plain(405, "405 only GET is answered here\n")
        if request.path in {"/", "/debug", "/debug/"}:
            return plain(200, INDEX)
        page = await self._page(request.path)
        if page is None:
            return plain(404, f"404 page not found; there are:\n{INDEX}")
        form = request.query.get("format", "text")
        if form == "json":
            return web.Response(body=orjson.dumps(page.tables), content_type="application/json")
        if form != "text":
            return plain(400, "400 format is json or text\n")
        return plain(200, as_text(page))

    async def _page(self, path: str) -> Page | None:
        match path:
            case "/debug/tasks":
                return Page({"tasks": inspection.tasks()})
            case "/debug/queues":
                return Page({"queues": [_queue_row(name, look()) for name, look in self._queues.items()]})
            case "/debug/caches":
                return Page({"caches": [_cache_row(each) for each in self._caches()]})
            case "/debug/memory":
                async with self._one_at_a_time:
                    return await self._memory()
        return None

    async def _memory(self) -> Page:
        # beside the loop: with tracemalloc on, counting all that is held takes seconds
        top = await asyncio.to_thread(inspection.allocations)
        tables = {"memory": [inspection.memory()], "gc": inspection.collections()}
        return Page(tables, NOT_TRACING) if top is None else Page({**tables, "tracemalloc": top})


def as_text(page: Page) -> str:
    """The tables in aligned columns under headings, as kubectl writes them; a blank line between two."""
    return "\n".join(
        [*(_table(name, rows) for name, rows in page.tables.items()), *filter(None, [page.note])]
    )


def _table(name: str, rows: Sequence[Row]) -> str:
    if not rows:
        return f"no {name}\n"
    lines = [[_heading(key) for key in rows[0]]]
    lines += [[_cell(key, value) for key, value in row.items()] for row in rows]
    widths = [max(map(len, column)) + COLUMN_GAP for column in zip(*lines, strict=True)]
    return "".join(
        "".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _heading(key: str) -> str:
    return key.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ").upper()


def _cell(key: str, value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("_seconds"):
        return f"{value:.1f}s"
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / MIB:.1f}MiB"
    if isinstance(value, list):
        return " < ".join([*value[:MOST_PLACES], *(["…"] if len(value) > MOST_PLACES else [])])
    return " ".join(str(value).split())


def _queue_row(name: str, state: QueueState) -> Row:
    return {
        "controller": name,
        "normal": state.ready[Priority.NORMAL],
        "low": state.ready[Priority.LOW],
        "in_hand": state.in_hand,
        "oldest_in_hand_seconds": state.oldest,
        "again": state.again,
        "delayed": state.delayed,
    }


def _cache_row(state: Following) -> Row:
    return {
        "kind": state.selection,
        "objects": state.objects,
        "synced": state.synced,
        "served": state.served,
        "age_seconds": state.age,
        "problem": state.problem,
    }


def _host(header: str) -> str:
    """The host of a Host header, without port and brackets; empty where it is malformed."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    host, _, port = header.partition(":")
    return host if port.isdigit() or not port else ""
