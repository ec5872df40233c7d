"""Changes of some objects, one after the other, until nobody wants them any more."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

from kfx.commands.session import Session
from kfx.kube.decode import read_head
from kfx.kube.errors import Expired, TransportError
from kfx.kube.resource import Resource

WATCH_SECONDS = 600
PAUSE = 1.0  # seconds between two tries


async def follow(
    session: Session,
    resource: Resource,
    *,
    namespace: str,
    labels: str,
    name: str,
    since: str,
    known: Iterable[bytes],
) -> AsyncIterator[bytes]:
    """Each new state of an object after ``since``, deletions included. Ends only by being closed.

    A connection that breaks is made again. Where the server has forgotten ``since``, the objects are listed
    and those that differ from what is ``known`` follow.
    """
    versions = {_key(raw): read_head(raw).resource_version for raw in known}
    fields = f"metadata.name={name}" if name else ""
    while True:
        try:
            messages = session.client.watch(
                resource,
                namespace=namespace,
                label_selector=labels,
                field_selector=fields,
                resource_version=since,
                timeout_seconds=WATCH_SECONDS,
            )
            async with aclosing(messages):
                async for message in messages:
                    raw = bytes(message.object)
                    since = read_head(raw).resource_version or since
                    if message.type != "BOOKMARK":
                        versions[_key(raw)] = since
                        yield raw
        except Expired:
            found, since = await session.list_raw(resource, namespace=namespace, labels=labels, fields=fields)
            for raw in found:
                version = read_head(raw).resource_version
                if versions.get(_key(raw)) != version:
                    versions[_key(raw)] = version
                    yield raw
        except TransportError:
            await asyncio.sleep(PAUSE)


def _key(raw: bytes) -> tuple[str, str]:
    head = read_head(raw)
    return head.namespace, head.name
