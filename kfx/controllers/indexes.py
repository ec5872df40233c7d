"""How the controllers find what belongs together, without looking at everything."""

from collections.abc import Iterable, Mapping

from kfx.apis.core import Pod
from kfx.apis.trial import Trial
from kfx.katib.names import LABEL_TRIAL
from kfx.kube.model import KubeObject
from kfx.runtime.reconcile import Request
from kfx.runtime.store import IndexFunc

BY_TRIAL = "trial"
BY_NAME = "name"
TRIAL_PODS = LABEL_TRIAL
"""The label selector of the pods that the pod webhook has taken for a trial's."""


def by_name(trial: Trial) -> Iterable[str]:
    """The trial's name in any namespace, as services know it that are told no namespace."""
    return (trial.metadata.name,)


def by_trial(pod: Pod) -> Iterable[str]:
    """The trial that the pod's label names, as ``namespace/name``."""
    return _labelled(pod, LABEL_TRIAL)


def trial_of_pod(pod: Pod) -> Iterable[Request]:
    """The key of the pod's trial, for a watch."""
    name = pod.metadata.label(LABEL_TRIAL)
    return (Request(pod.metadata.namespace, name),) if name else ()


TRIAL_INDEXERS: Mapping[str, IndexFunc[Trial]] = {BY_NAME: by_name}
POD_INDEXERS: Mapping[str, IndexFunc[Pod]] = {BY_TRIAL: by_trial}


def _labelled(obj: KubeObject, label: str) -> Iterable[str]:
    name = obj.metadata.label(label)
    return (str(Request(obj.metadata.namespace, name)),) if name else ()
