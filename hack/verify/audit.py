"""Writes from an API server's audit log, in the order in which they were stored.

The log is in the order of the answers. The resourceVersion is etcd's revision, one for all kinds, so a small
heap puts neighbours right; nothing else is held in memory.
"""

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
WINDOW = 512
"""Requests that are held back for those that were stored before and answered later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of one object: accepted, or a creation of which the server could not say so.

    ``id``: of the request in the log. ``received``, ``answered``: the server's clock, in seconds.
    ``resource``: ``trials.kubeflow.org``. ``version``: that of the object afterwards, 0 where it is gone or
    the log does not say. ``document``: the object afterwards, as far as the log has it. ``certain``: whether
    it was accepted; a server whose client has gone answers 504, though the object may be stored.
    """

    id: str
    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    uid: str = ""
    subresource: str = ""
    received: float = 0.0
    answered: float = 0.0
    version: int = 0
    document: Mapping[str, Any]
    certain: bool = True

    @property
    def object(self) -> str:
        return f"{self.resource} {self.namespace}/{self.name}"


def read_writes(lines: Iterable[bytes]) -> Iterator[Write]:
    """The writes among the entries of a log. ValueError for a line that is no entry.

    A line without its end is still being written and does not count.
    """
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"line {number} is no entry of an audit log: {error}") from None
        if _is_write(entry):
            yield from _writes_of(entry)


def in_stored_order(writes: Iterable[Write], *, window: int = WINDOW) -> Iterator[Write]:
    """The same by resourceVersion.

    A deletion that leaves no object has none: it comes as early as it may have happened, right after what was
    answered before it was asked for.
    """
    heap: list[tuple[int, int, Write]] = []
    answered: deque[float] = deque(maxlen=window)
    highest: deque[int] = deque([0], maxlen=window + 1)
    for number, write in enumerate(writes):
        version = write.version or highest[min(bisect_right(answered, write.received), len(highest) - 1)]
        heapq.heappush(heap, (version, number, write))
        answered.append(max(write.answered, answered[-1] if answered else 0.0))
        highest.append(max(highest[-1], write.version))
        if len(heap) > window:
            yield heapq.heappop(heap)[2]
    while heap:
        yield heapq.heappop(heap)[2]


def _is_write(entry: Mapping[str, Any]) -> bool:
    code = _code(entry)
    return (
        entry.get("stage") == "ResponseComplete"
        and entry.get("verb") in VERBS
        and (200 <= code < 300 or (code >= 500 and entry["verb"] == "create"))
        and "objectRef" in entry
        and "dryRun=" not in entry.get("requestURI", "")
    )


def _code(entry: Mapping[str, Any]) -> int:
    code: int = (entry.get("responseStatus") or {}).get("code", 0)
    return code


def _writes_of(entry: Mapping[str, Any]) -> Iterator[Write]:
    """One; of a whole collection one for each object that went."""
    if _code(entry) >= 500:
        asked = {"metadata": {}, **(entry.get("requestObject") or {})}
        yield _write(entry, {**asked, "kind": ""}, verb="create", certain=False)
        return
    reply = entry.get("responseObject") or {}
    if entry["verb"] == "deletecollection":
        for item in reply.get("items") or ():
            yield _write(entry, item, verb="delete")
        return
    yield _write(entry, reply, verb=entry["verb"])


def _write(entry: Mapping[str, Any], reply: Mapping[str, Any], *, verb: str, certain: bool = True) -> Write:
    reference = entry["objectRef"]
    is_object = reply.get("kind") != "Status"
    metadata = reply.get("metadata") or {} if is_object else {}
    details = {} if is_object else reply.get("details") or {}
    group = reference.get("apiGroup", "")
    return Write(
        id=entry.get("auditID", ""),
        agent=entry.get("userAgent", ""),
        verb=verb,
        resource=f"{reference.get('resource', '')}.{group}" if group else reference.get("resource", ""),
        namespace=reference.get("namespace", ""),
        name=reference.get("name") or metadata.get("name", ""),
        uid=metadata.get("uid") or details.get("uid") or reference.get("uid", ""),
        subresource=reference.get("subresource", ""),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
        version=0 if _is_gone(metadata) else int(metadata.get("resourceVersion") or 0),
        document=reply if is_object else {},
        certain=certain,
    )


def _is_gone(metadata: Mapping[str, Any]) -> bool:
    """Whether this was the last that anybody saw of the object."""
    waits = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    return bool(metadata.get("deletionTimestamp")) and not waits


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
