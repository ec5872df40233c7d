"""I6: only who leads writes, and a lease changes hands when it has run out or was given back."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hack.verify.audit import Write
from hack.verify.check import Limits, PerTree, Violation
from hack.verify.world import Change, World, is_of_kfx

LEASES = "leases.coordination.k8s.io"
_REPLICA = re.compile(r"replica=(\S+)")


@dataclass(slots=True)
class _Lease:
    """``replica``: who wrote the holder. ``renewed``: when that request had reached the server."""

    holder: str = ""
    replica: str = ""
    duration: float = 0.0
    renewed: float = 0.0
    request: str = ""


class Fence(PerTree):
    """I6. A process is known by ``replica=`` in its User-Agent, which the rig adds, one for each start.

    Without ``Limits.lease`` a replica that never wrote a Lease takes no part in an election: not judged.
    """

    invariant = "I6"
    says = "only the holder of the lease writes"

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._wanted = limits.lease
        self._leases: dict[str, _Lease] = {}
        self._lease_of: dict[str, str] = {}  # by replica

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        if write.resource == LEASES:
            yield from self._see_lease(write)
        elif is_of_kfx(write) and write.certain:  # else nobody knows when it was accepted
            replica = _replica_of(write)
            name = self._wanted or self._lease_of.get(replica, "")
            if not name:
                return
            self.judged += 1
            lease = self._leases.get(name, _Lease())
            if not lease.holder or lease.replica != replica:
                holder = f"{lease.holder} (replica {lease.replica})" if lease.holder else "nobody"
                text = f"written by {write.agent} while {holder} holds Lease {name}"
                yield self.broken(write, text, *filter(None, [lease.request]))

    def _see_lease(self, write: Write) -> Iterable[Violation]:
        """What others do to a lease is their affair, and what follows from it is judged anew."""
        name = f"{write.namespace}/{write.name}"
        spec = write.document.get("spec") or {}
        if write.verb == "delete" or not is_of_kfx(write):
            self._leases.pop(name, None)
            return
        replica = _replica_of(write)
        self._lease_of[replica] = name
        lease = self._leases.setdefault(name, _Lease())
        holder = spec.get("holderIdentity") or ""
        self.judged += 1
        if lease.holder and holder not in {lease.holder, ""}:
            stood = write.answered - lease.renewed
            if stood < lease.duration:
                text = f"{holder} took the lease {stood:.1f} s after {lease.holder} had renewed it"
                yield self.broken(write, f"{text} for {lease.duration:.0f} s", lease.request)
        if lease.holder and not holder and lease.replica != replica:
            yield self.broken(write, f"{write.agent} gave back the lease of {lease.holder}", lease.request)
        duration = float(spec.get("leaseDurationSeconds") or 0)
        self._leases[name] = _Lease(holder, replica, duration, write.received, write.id)


def _replica_of(write: Write) -> str:
    found = _REPLICA.search(write.agent)
    return found[1] if found else ""
