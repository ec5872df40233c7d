"""One operator's parts, made and joined in the order that the runtime's promises need."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.kube.transport import Transport
from kfx.runtime.cache import Cache
from kfx.runtime.controller import Controller, Report
from kfx.runtime.debug import DebugServer
from kfx.runtime.events import EventRecorder
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestForOwner
from kfx.runtime.leader import AlwaysLeader, LeaderElector, own_identity
from kfx.runtime.lease import ApiLeaseLock
from kfx.runtime.loop_lag import LoopLag
from kfx.runtime.manager import Manager, Server
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.reconcile import Reconciler
from kfx.runtime.workqueue import QueueState
from kfx.runtime.writer import Writer


class Operator:
    """Everything but the reconcilers and the servers. Made by :meth:`connect`, run once by :meth:`run`.

    ``name`` is the user agent, the source of events and the Lease's name. ``lease_namespace`` is where the
    Lease lives; ``""`` for no leader election. Writes of ``client``, which ``writer`` uses, pass the
    elector's fence; the cache, the events and the lease go past it on the same connections.
    """

    def __init__(self, transport: Transport, name: str, *, lease_namespace: str = "") -> None:
        self.metrics = RuntimeMetrics()
        observe = self.metrics.observe_request
        reader = Client(transport, user_agent=name, observe=observe)
        self.elector: AlwaysLeader | LeaderElector = AlwaysLeader()
        if lease_namespace:
            lock = ApiLeaseLock(reader, lease_namespace, name, user_agent=f"{name}/leader-election")
            self.elector = LeaderElector(lock, own_identity(), metrics=self.metrics)
        self.client = Client(transport, user_agent=name, fence=self.elector.check, observe=observe)
        self.cache = Cache(reader, metrics=self.metrics)
        self.recorder = EventRecorder(reader, name, metrics=self.metrics, user_agent=f"{name}/events")
        self.writer = Writer(self.client, self.recorder, self.metrics)
        self._loop_lag = LoopLag(self.metrics)
        self._controllers: list[Controller] = []
        self._queues: dict[str, Callable[[], QueueState]] = {}
        self._stop: asyncio.Event | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, credentials: Credentials, name: str, *, lease_namespace: str = ""
    ) -> AsyncIterator["Operator"]:
        """An operator for the length of the block; nothing is asked of the server yet."""
        async with Transport.open(credentials) as transport:
            yield cls(transport, name, lease_namespace=lease_namespace)

    def controller(
        self,
        name: str,
        reconciler: Reconciler,
        kind: type[KubeObject],
        *,
        owns: Sequence[type[KubeObject] | Resource] = (),
        workers: int = 4,
        report: Report | None = None,
    ) -> Controller:
        """Have ``reconciler`` look at every ``kind``, and again when an object it controls changes.

        ``owns`` are the kinds of such objects, in all namespaces; lead anything else into the controller's
        ``queue`` by ``cache.watch``. ``workers`` and ``report`` are :class:`Controller`'s.
        """
        found = Controller(name, reconciler, workers=workers, metrics=self.metrics, report=report)
        self._controllers.append(found)
        self._queues[name] = found.queue.state
        self.cache.watch(kind, EnqueueRequestForObject(), found.queue)
        what = kind.resource
        owner = EnqueueRequestForOwner(what.group, what.kind, namespaced=what.namespaced)
        for owned in owns:
            self.cache.watch(owned, owner, found.queue)
        return found

    def ready(self) -> str | None:
        """For readiness: which kinds are not read yet, or may not be read any more; or that it stops."""
        if self._stop is not None and self._stop.is_set():
            return "shutting down"
        return "; ".join(self.cache.unsynced()) or None

    def alive(self) -> str | None:
        """For liveness: that something has blocked the event loop, or its lease ran out, for too long."""
        return self._loop_lag.check() or self.elector.alive()

    def debug_server(self, addr: str) -> DebugServer:
        """What queues, caches, tasks and memory are at; ``addr``, its host a loopback one, or ``0`` for none.

        Raises InvalidAddress.
        """
        return DebugServer(addr, queues=self._queues, caches=self.cache.states)

    async def run(
        self,
        stop: asyncio.Event,
        *,
        servers: Sequence[Server] = (),
        shutdown_delay: float = 0.0,
        grace_period: float = 30.0,
    ) -> None:
        """Run until ``stop`` is set; times and errors are those of :class:`kfx.runtime.manager.Manager`."""
        self._stop = stop
        await Manager(
            servers=servers,
            cache=self.cache,
            elector=self.elector,
            controllers=self._controllers,
            background=[self._loop_lag, self.recorder],
            shutdown_delay=shutdown_delay,
            grace_period=grace_period,
        ).run(stop)
