"""Where the admission server's certificate comes from: files that somebody renews, or the process itself.

A new pair goes live only once it is known to be good, and an old one stays trusted until no replica can
still present it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from kfx.kube.client import Client
from kfx.kube.errors import ApiError, Forbidden, Invalid, TransportError, Unreachable
from kfx.runtime.cert_store import BundleInjector, Outrun, SecretStore, Stored, Unwritable
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.pki import SKEW, CertificateError, Pair, issue, read_pair
from kfx.runtime.reconcile import Request
from kfx.runtime.tls import LiveContext, Verifier, load_pair, verifier_of

POLL_INTERVAL = 5.0
SETTLE_TIME = 30.0
"""Seconds from a bundle's being written until every API server can be taken to use it."""
OVERLAP = timedelta(hours=1)
"""How long a renewed pair's predecessor stays trusted: every replica has changed over long before."""
RETRY_INTERVAL = 1.0
ATTEMPTS = 5
READS = "certwatcher_read_certificate_total"
READ_ERRORS = "certwatcher_read_certificate_errors_total"

log = get_logger("certificates")


def utcnow() -> datetime:
    """Now, by the wall clock: certificates live by that."""
    return datetime.now(UTC)


class CertificateSource(Protocol):
    """What an admission server needs to know of its certificate."""

    def ssl_context(self) -> ssl.SSLContext:
        """The context to serve with; the same for ever, its certificate changes inside."""
        ...

    def verifier(self) -> Verifier | None:
        """How to check the pair that is live; None while there is none."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Keep the certificate fresh inside the block. The admission server enters it."""
        ...


class FileCertificates:
    """``tls.crt`` and ``tls.key`` of a folder, read again when they change.

    ``flag`` is the flag that named the folder.
    """

    def __init__(
        self, directory: str | Path, *, flag: str = "--cert-dir", metrics: RuntimeMetrics | None = None
    ) -> None:
        self._directory = Path(directory)
        self._flag = flag
        self._metrics = metrics
        self._live = LiveContext()
        self._verifier: Verifier | None = None
        self._seen = b""
        self._complaint = ""

    def ssl_context(self) -> ssl.SSLContext:
        return self._live.context

    def verifier(self) -> Verifier | None:
        return self._verifier

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Raises CertificateError, naming the flag, if the files are not there or not good at the start."""
        try:
            await self._read()
        except CertificateError as failed:
            raise CertificateError(
                f"{self._flag} {self._directory}: {failed}. Put a good tls.crt and tls.key there, "
                f"or name another folder with {self._flag}"
            ) from None
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            try:
                yield
            finally:
                watching.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            try:
                await self._read()
            except CertificateError as failed:
                self._count(READ_ERRORS)
                if str(failed) != self._complaint:
                    log.warning(
                        "changed certificate refused, the old one stays",
                        directory=str(self._directory),
                        error=str(failed),
                    )
                self._complaint = str(failed)

    async def _read(self) -> None:
        """Compares contents, not times: the kubelet swaps a whole folder by one link."""
        cert_pem, key_pem = await asyncio.to_thread(self._contents)
        seen = sha256(cert_pem + b"\0" + key_pem).digest()
        if seen == self._seen:
            return
        self._seen = seen
        self._count(READS)
        pair = read_pair(cert_pem, key_pem, None, now=utcnow())
        self._live.present(load_pair(pair))
        self._verifier = verifier_of(pair)
        self._complaint = ""
        log.info("certificate loaded", directory=str(self._directory), not_after=pair.not_after.isoformat())

    def _contents(self) -> tuple[bytes, bytes]:
        found = []
        for name in ("tls.crt", "tls.key"):
            try:
                found.append((self._directory / name).read_bytes())
            except OSError as failed:
                raise CertificateError(f"{name}: {failed.strerror}") from None
        return found[0], found[1]

    def _count(self, metric: str) -> None:
        if self._metrics is not None:
            self._metrics.count(metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What issued certificates say: the authority's names, and those the server is called by.

    ``required``: the names a stored certificate must speak for to be kept; all of them by default.
    """

    common_name: str
    organization: str
    dns_names: Sequence[str]
    ip_addresses: Sequence[str] = ()
    required: Sequence[str] = ()


class SelfSigned:
    """Issues its own pair, shares it with other replicas by a Secret, and tells the webhooks whom to trust.

    The Secret decides: who writes first wins, the others adopt. Where RBAC forbids it, the pair lives in
    memory, which does for one replica. At two thirds of its life a pair is renewed under a new authority:
    the bundles hold both for an hour, and a replica changes over only when the bundles have settled.
    ``webhook_configurations``: names, looked for as mutating and as validating ones; absent is no error.
    ``permitted`` is awaited before the first read or write: where somebody else may still serve them.
    """

    def __init__(
        self,
        client: Client,
        *,
        secret: Request,
        identity: Identity,
        webhook_configurations: Sequence[str],
        user_agent: str = "certificates",
        now: Callable[[], datetime] = utcnow,
        settle_time: float = SETTLE_TIME,
        permitted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        unfenced = client.without_fence(user_agent)
        self._identity = identity
        names = identity.required or [*identity.dns_names, *identity.ip_addresses]
        self._store = SecretStore(unfenced, namespace=secret.namespace, name=secret.name, names=names)
        self._injector = BundleInjector(unfenced, webhook_configurations)
        self._now = now
        self._settle_time = settle_time
        self._permitted = permitted
        self._live = LiveContext()
        self._verifier: Verifier | None = None
        self._pair: Pair | None = None
        self._wanted: Pair | None = None
        self._settled_from = 0.0
        self._problem: str | None = "no certificate yet"
        self._said = ""

    def ssl_context(self) -> ssl.SSLContext:
        return self._live.context

    def verifier(self) -> Verifier | None:
        return self._verifier

    def ready(self) -> str | None:
        """Why the API server cannot trust this replica yet; None once it can."""
        return self._problem

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Begins at once, whether the API server answers or not; until it does, handshakes are refused."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep())
            try:
                yield
            finally:
                keeping.cancel()

    async def _keep(self) -> None:
        if self._permitted is not None:
            # nobody trusts it, but secured metrics can be read meanwhile
            self._live.present(load_pair(self._issue(self._now())))
            await self._permitted()
        while True:
            try:
                await self._sync()
                self._problem = None
                pause = POLL_INTERVAL
            except (ApiError, TransportError, Outrun) as failed:
                # once trusted, a replica stays so while the API server is away
                if self._problem is not None or isinstance(failed, (Forbidden, Invalid)):
                    self._problem = str(failed)
                if not isinstance(failed, Unreachable):
                    self._say_once("certificates cannot be kept in order", str(failed))
                pause = RETRY_INTERVAL
            await asyncio.sleep(pause)

    async def _sync(self) -> None:
        now = self._now()
        wanted = await self._settle_on_one(now)
        if self._wanted is None or wanted.cert_pem != self._wanted.cert_pem:
            self._settled_from = float("inf")
        self._wanted = wanted
        if self._pair is None:
            self._present(wanted)
        changed = await self._injector.apply(trusted_now(wanted, now))
        if changed:
            log.info("caBundle written", configurations=changed)
        clock = asyncio.get_running_loop().time()
        self._settled_from = min(self._settled_from, clock)
        if self._may_change_over(wanted, now, clock):
            self._present(wanted)

    async def _settle_on_one(self, now: datetime) -> Pair:
        """The pair that all replicas should serve: the stored one, else one of ours, stored if possible."""
        for _ in range(ATTEMPTS):
            stored = Stored()
            try:
                stored = await self._store.read(now=now)
                if stored.pair is not None and now < stored.pair.renew_at:
                    return stored.pair
                if stored.pair is not None and self._pair is None:
                    # the bundles trust it already, and do not know its successor yet
                    self._present(stored.pair)
                candidate = self._candidate(stored, now)
                await self._store.write(candidate, stored)
            except Outrun:
                continue
            except Unwritable as forbidden:
                self._say_once("the certificate is kept in memory only: run one replica", str(forbidden))
                return self._candidate(stored, now)
            log.info(
                "certificate stored", not_after=candidate.not_after.isoformat(), instead_of=stored.problem
            )
            return candidate
        raise Outrun("other replicas keep writing the Secret of the certificate")

    def _candidate(self, stored: Stored, now: datetime) -> Pair:
        if self._wanted is not None and now < self._wanted.renew_at:
            return self._wanted
        before = self._wanted.authorities if self._wanted is not None else stored.authorities
        fresh = self._issue(now)
        return replace(fresh, authorities=(*fresh.authorities, *before[:1]))

    def _issue(self, now: datetime) -> Pair:
        return issue(
            self._identity.dns_names,
            self._identity.ip_addresses,
            now=now,
            common_name=self._identity.common_name,
            organization=self._identity.organization,
        )

    def _may_change_over(self, wanted: Pair, now: datetime, clock: float) -> bool:
        served = self._pair
        if served is None or served.cert_pem == wanted.cert_pem:
            return False
        trusted = served.authorities[0] in wanted.authorities and now < served.not_after
        return not trusted or clock - self._settled_from >= self._settle_time

    def _present(self, pair: Pair) -> None:
        self._live.present(load_pair(pair))
        self._verifier = verifier_of(pair, self._identity.dns_names[0])
        self._pair = pair
        log.info("certificate in use", not_after=pair.not_after.isoformat())

    def _say_once(self, what: str, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            log.warning(what, error=problem)


def trusted_now(pair: Pair, now: datetime) -> bytes:
    """The bundle for a pair: with its predecessor's authority while a replica may still serve that."""
    if now < pair.not_before + SKEW + OVERLAP:
        return pair.bundle
    return pair.authorities[0]
