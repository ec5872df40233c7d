"""The trials of every Experiment, tallied as the cache learns of them."""

from typing import Any

from kfx.apis.experiment import Experiment
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.katib.tally import Tally
from kfx.kube.model import KubeObject, Unreadable
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request

_NOBODY = ""


class TrialTallies:
    """Trials by the experiment that their label names, kept up from a cache's events; it enqueues nothing.

    A handler for ``Cache.watch`` of Trials.
    """

    takes_unreadable = True

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Tally] = {}

    def requests(self, event: Event[Any]) -> tuple[Request, ...]:
        """Take one change in."""
        old, new = event.old, event.new
        after = _place_of(new) if new is not None else None
        if old is not None:
            before = _place_of(old)
            if before is not None and before != after:
                self._drop(before, old)
        if new is not None and after is not None:
            tally = self._found.setdefault(after, Tally())
            if isinstance(new, Unreadable):
                tally.put_unreadable(new)
            else:
                tally.put(new)
        return ()

    def owned(self, experiment: Experiment) -> Tally:
        """The trials that were made for exactly this experiment. It changes with them: use it at once."""
        return self._found.get((*experiment.key, experiment.metadata.uid)) or Tally()

    def counted(self, experiment: Experiment) -> Tally:
        """Those, and trials with the label that no experiment controls; not those of an earlier namesake."""
        strangers = self._found.get((*experiment.key, _NOBODY))
        owned = self.owned(experiment)
        return Tally.of((*owned, *strangers)) if strangers is not None else owned

    def _drop(self, place: tuple[str, str, str], old: KubeObject) -> None:
        tally = self._found.get(place)
        if tally is not None:
            if isinstance(old, Unreadable):
                tally.drop_unreadable(old.metadata.name)
            else:
                tally.drop(old.metadata.name)
            if not tally:
                del self._found[place]


def _place_of(trial: KubeObject) -> tuple[str, str, str] | None:
    """Namespace and name of the experiment, and the uid of the one that controls the trial."""
    name = trial.metadata.label(LABEL_EXPERIMENT)
    if not name:
        return None
    owner = trial.metadata.controller
    uid = owner.uid if owner is not None and owner.kind == Experiment.resource.kind else _NOBODY
    return trial.metadata.namespace, name, uid
