"""``config/crd/bases``: the CustomResourceDefinitions of Katib's kinds.

The schema is as open as Katib's. Types in it would refuse objects that Katib's server takes, such as a stored
Trial with ``retainRun: "yes"``; they are in ``docs/swagger.json`` instead.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from hack.generate.definitions import ANY_FIELDS
from kfx.kube.model import KubeObject

_NOTICE = """\
# Written by `make generate`. Do not edit.
# The schema is as open as Katib's: the webhooks check, and fields that kfx does not know survive.
"""


def _column(name: str, path: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"jsonPath": path, "name": name, "type": kind} | more


def _wide(name: str, path: str, kind: str = "string") -> dict[str, Any]:
    """Shown by ``kubectl get -o wide`` only: the default is Katib's."""
    return _column(name, path, kind, priority=1)


_STATE = [
    _column("Type", ".status.conditions[-1:].type"),
    _column("Status", ".status.conditions[-1:].status"),
]
_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_FIRST_METRIC = ".status.observation.metrics[0]"

COLUMNS: dict[str, Sequence[dict[str, Any]]] = {
    "Experiment": [
        *_STATE,
        _AGE,
        _wide("Trials", ".status.trials", "integer"),
        _wide("Running", ".status.trialsRunning", "integer"),
        _wide("Succeeded", ".status.trialsSucceeded", "integer"),
        _wide("Failed", ".status.trialsFailed", "integer"),
        _wide("Optimal Trial", ".status.currentOptimalTrial.bestTrialName"),
    ],
    "Suggestion": [
        *_STATE,
        _column("Requested", ".spec.requests"),
        _column("Assigned", ".status.suggestionCount"),
        _AGE,
        _wide("Algorithm", ".spec.algorithm.algorithmName"),
    ],
    # the first metric is the objective, but where the user has listed strategies in another order
    "Trial": [
        *_STATE,
        _AGE,
        _wide("Metric", f"{_FIRST_METRIC}.name"),
        _wide("Min", f"{_FIRST_METRIC}.min"),
        _wide("Max", f"{_FIRST_METRIC}.max"),
        _wide("Latest", f"{_FIRST_METRIC}.latest"),
    ],
}
"""By kind: Katib's columns in Katib's order, then kfx's own."""


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key, as in all manifests here."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def definition(kind: type[KubeObject]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    resource = kind.resource
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": str(resource)},
        "spec": {
            "group": resource.group,
            "names": {
                "categories": ["all", "kubeflow", "katib"],
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": COLUMNS[resource.kind],
                    "schema": {"openAPIV3Schema": {"type": "object", ANY_FIELDS: True}},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def render(kind: type[KubeObject]) -> str:
    """The file's text."""
    return _NOTICE + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=110)
