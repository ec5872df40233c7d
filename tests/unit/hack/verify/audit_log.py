"""Audit logs made by hand: each step is one accepted request."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hack.verify.audit import in_stored_order, read_writes
from hack.verify.check import Limits
from hack.verify.invariants import Judge, Report
from hack.verify.mask import Excuse
from hack.verify.shape import Shape

KFX, USER, GC = "kfx/0.1.0", "kubectl/1.36", "kube-controller-manager/1.36"
GROUPS = {
    "experiments": "kubeflow.org",
    "suggestions": "kubeflow.org",
    "trials": "kubeflow.org",
    "jobs": "batch",
    "leases": "coordination.k8s.io",
}
KINDS = {"experiments": "Experiment", "suggestions": "Suggestion", "trials": "Trial", "jobs": "Job"}


class Log:
    """An API server with one namespace; time passes by a tenth of a second a request."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.version, self.now = 100, 1_800_000_000.0
        self._stored: dict[tuple[str, str], dict[str, Any]] = {}
        self._uids = 0

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def uid(self, resource: str, name: str) -> str:
        found: str = self._stored[resource, name]["metadata"]["uid"]
        return found

    def create(
        self,
        resource: str,
        name: str,
        *,
        by: str = KFX,
        owner: tuple[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
        finalizers: Sequence[str] = (),
    ) -> None:
        self._uids += 1
        metadata: dict[str, Any] = {"name": name, "namespace": "ns", "uid": f"uid-{self._uids}"}
        if owner is not None:
            entry = {"kind": KINDS[owner[0]], "name": owner[1], "uid": self.uid(*owner), "controller": True}
            metadata["ownerReferences"] = [entry]
        if finalizers:
            metadata["finalizers"] = list(finalizers)
        self._stored[resource, name] = {"metadata": metadata, "spec": dict(spec or {}), "status": {}}
        self._store("create", resource, name, by)

    def patch(
        self,
        resource: str,
        name: str,
        *,
        by: str = KFX,
        spec: Mapping[str, Any] | None = None,
        status: Mapping[str, Any] | None = None,
        effect: bool = True,
    ) -> None:
        """Without ``effect`` the stored object stays as it is, and so does its version."""
        stored = self._stored[resource, name]
        stored["spec"].update(spec or {})
        stored["status"].update(status or {})
        self._store("patch", resource, name, by, subresource="status" if status else "", effect=effect)

    def delete(self, resource: str, name: str, *, by: str = KFX, effect: bool = True) -> None:
        """Gone at once, or marked while there are finalizers."""
        stored = self._stored[resource, name]
        if stored["metadata"].get("finalizers"):
            stored["metadata"]["deletionTimestamp"] = _time(self.now)
            self._store("delete", resource, name, by, effect=effect)
            return
        del self._stored[resource, name]
        details = {"name": name, "uid": stored["metadata"]["uid"]}
        self._log("delete", resource, name, by, {"kind": "Status", "status": "Success", "details": details})

    def release(self, resource: str, name: str, *, by: str = KFX) -> None:
        """The last finalizer goes, and the object with it if it was to be deleted."""
        self._stored[resource, name]["metadata"]["finalizers"] = []
        self._store("patch", resource, name, by)

    def lease(self, holder: str, *, by: str, duration: int = 15, verb: str = "update") -> None:
        self.version += 1
        document = {
            "kind": "Lease",
            "metadata": {"name": "election", "uid": "uid-lease", "resourceVersion": str(self.version)},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration},
        }
        self._log(verb, "leases", "election", by, document)

    def drop_lease(self, *, by: str) -> None:
        details = {"name": "election", "uid": "uid-lease"}
        self._log("delete", "leases", "election", by, {"kind": "Status", "details": details})

    def judge(
        self,
        limits: Limits | None = None,
        *,
        mask: Sequence[Excuse] = (),
        reference: Shape | None = None,
    ) -> Report:
        text = "".join(self.lines).encode()
        writes = in_stored_order(read_writes(text.splitlines(keepends=True)))
        return Judge(limits, mask=mask, reference=reference).judge(writes)

    def found(self, limits: Limits | None = None, **more: Any) -> list[str]:
        """The invariants that were broken."""
        return [violation.invariant for violation in self.judge(limits, **more).violations]

    def _store(
        self, verb: str, resource: str, name: str, by: str, *, subresource: str = "", effect: bool = True
    ) -> None:
        stored = self._stored[resource, name]
        self.version += effect
        if effect:
            stored["metadata"]["resourceVersion"] = str(self.version)
        self._log(verb, resource, name, by, {"kind": KINDS[resource], **stored}, subresource=subresource)

    def _log(
        self, verb: str, resource: str, name: str, by: str, reply: Mapping[str, Any], *, subresource: str = ""
    ) -> None:
        reference = {"resource": resource, "apiGroup": GROUPS[resource], "namespace": "ns", "name": name}
        if subresource:
            reference["subresource"] = subresource
        entry = {
            "stage": "ResponseComplete",
            "auditID": f"request-{len(self.lines)}",
            "verb": verb,
            "userAgent": by,
            "requestURI": f"/apis/{resource}/{name}",
            "objectRef": reference,
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": _time(self.now),
            "stageTimestamp": _time(self.now + 0.01),
            "requestObject": {"metadata": {"name": name}},
            "responseObject": reply,
        }
        self.lines.append(json.dumps(entry) + "\n")
        self.now += 0.1


def condition(kind: str, status: str = "True", reason: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason or kind}


def observed(value: str) -> dict[str, Any]:
    return {"metrics": [{"name": "loss", "min": value, "max": value, "latest": value}]}


class Story(Log):
    """An Experiment ``e`` and what kfx does for it, step by step."""

    def begin(self, *, most: int | None = 2, parallel: int = 2) -> "Story":
        objective = {"type": "minimize", "objectiveMetricName": "loss"}
        spec = {"parallelTrialCount": parallel, "objective": objective}
        spec |= {"maxTrialCount": most} if most is not None else {}
        self.create("experiments", "e", by=USER, spec=spec, finalizers=["kfx"])
        self.create("suggestions", "e", owner=("experiments", "e"))
        return self

    def suggest(self, **points: str) -> "Story":
        """All assignments there are: x by name."""
        entries = [
            {"name": name, "parameterAssignments": [{"name": "x", "value": x}]} for name, x in points.items()
        ]
        self.patch("suggestions", "e", status={"suggestions": entries})
        return self

    def trial(self, name: str, x: str) -> "Story":
        spec = {
            "parameterAssignments": [{"name": "x", "value": x}],
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
        }
        self.create("trials", name, owner=("experiments", "e"), spec=spec, finalizers=["metrics"])
        return self

    def job(self, name: str) -> "Story":
        self.create("jobs", name, owner=("trials", name))
        return self

    def end(self, name: str, value: str, kind: str = "Succeeded") -> "Story":
        status = {"conditions": [condition(kind)], "observation": observed(value)}
        self.patch("trials", name, status=status)
        return self

    def finish(
        self, best: str, value: str, *done: str, reason: str = "ExperimentMaxTrialsReached"
    ) -> "Story":
        status = {
            "conditions": [condition("Succeeded", reason=reason)],
            "succeededTrialList": list(done),
            "currentOptimalTrial": {"bestTrialName": best, "observation": observed(value)},
        }
        self.patch("experiments", "e", status=status)
        return self

    def run(self) -> "Story":
        """From the beginning to the end, with nothing wrong."""
        self.begin().suggest(a="1", b="2").trial("a", "1").job("a").trial("b", "2").job("b")
        self.end("a", "0.5").end("b", "0.7")
        for name in ("a", "b"):
            self.delete("jobs", name)
        return self.finish("a", "0.5", "a", "b")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
