"""The jobs of trials, of whatever kinds the process was told to follow."""

from collections.abc import Callable, Iterable, MutableMapping

import msgspec

from kfx.apis.trial import Trial
from kfx.katib.job_kinds import is_denied
from kfx.katib.job_state import JobState, Phase
from kfx.kube.model import Unstructured
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.log import get_logger
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister

log = get_logger("trial-controller")


MOST_UNLISTED = 20
"""Kinds that are followed though no flag names them: each is a cache of all objects of its kind."""

Follow = Callable[[Resource], Lister[Unstructured]]


class JobLister:
    """Finds the job of a trial in the cache of its kind.

    ``listers``: those of ``--trial-resources``; trials of other kinds are not run, unless
    :meth:`follow_others` says how to. ``is_known``: whether the server was heard of a kind.
    """

    def __init__(
        self,
        listers: MutableMapping[Resource, Lister[Unstructured]],
        *,
        is_known: Callable[[Resource], bool] = lambda _: True,
    ) -> None:
        self._listers = listers
        self._resources = {(r.api_version, r.kind): r for r in listers}
        self._follow: Follow | None = None
        self._most = len(listers) + MOST_UNLISTED
        self._is_known = is_known
        self._known: set[Resource] = set()  # asked for at each look at a trial

    def follow_others(self, follow: Follow) -> None:
        """Begin to follow other kinds by ``follow``, each as soon as a trial is of it."""
        self._follow = follow

    def resource_of(self, trial: Trial) -> Resource | None:
        """The kind of the trial's job; ``None`` where that kind is not followed, or never run."""
        head = _read_head(trial)
        found = self._resources.get((head.api_version, head.kind)) or self._begin(head)
        return None if found is None or is_denied(found.group, found.kind) else found

    def problem(self, resource: Resource) -> str | None:
        """The right that is missing to follow the kind; ``None`` where it is followed."""
        return self._listers[resource].problem

    def is_known(self, resource: Resource) -> bool:
        """Whether the cache has been filled, or it is certain that it cannot be."""
        if resource not in self._known and self._is_known(resource):
            self._known.add(resource)
        return resource in self._known

    def get(self, resource: Resource, trial: Trial) -> Unstructured | None:
        """The object of the trial's name, whoever owns it."""
        return self._listers[resource].get(Request(*trial.key))

    def _begin(self, head: "_Head") -> Resource | None:
        if self._follow is None or not head.kind or len(self._listers) >= self._most:
            return None
        try:
            resource = guess_resource(head.api_version, head.kind)
        except ValueError:
            return None
        if is_denied(resource.group, resource.kind):
            return None
        log.info(
            "a trial is of a kind outside --trial-resources; it is followed from now on",
            resource=str(resource),
        )
        self._listers[resource] = self._follow(resource)
        self._resources[head.api_version, head.kind] = resource
        return resource


def not_followed(trial: Trial) -> JobState:
    """Why a trial whose kind of job is not followed cannot be run."""
    head = _read_head(trial)
    if not head.kind or not head.api_version:
        return JobState(
            Phase.FAILED, "InvalidRunSpec", "runSpec has no apiVersion and kind; correct the template"
        )
    group, _, version = head.api_version.rpartition("/")
    what = f"kind {head.kind} ({head.api_version})"
    if is_denied(group, head.kind):
        message = f"no trial may run {what}; run a job in its place"
    else:
        name = f"{head.kind}.{version}.{group}"
        message = f"jobs of {what} are not followed; add {name} to --trial-resources"
    return JobState(Phase.FAILED, "KindNotFollowed", message)


def parse_trial_resource(text: str) -> Resource:
    """The resource that ``Kind.version.group`` names, its plural by the rules of English.

    Raises ValueError where the text has another form. (Katib's ``trialResources``.)
    """
    kind, _, rest = text.partition(".")
    version, dot, group = rest.partition(".")
    if not kind or not version or not dot:
        raise ValueError(f"{text!r} is not of the form Kind.version.group, such as Job.v1.batch")
    return guess_resource(f"{group}/{version}" if group else version, kind)


def parse_trial_resources(texts: Iterable[str]) -> tuple[Resource, ...]:
    """The resources, each once, in the order given."""
    return tuple(dict.fromkeys(parse_trial_resource(text) for text in texts))


class _Head(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""


_head_decoder = msgspec.json.Decoder(_Head)


def _read_head(trial: Trial) -> _Head:
    try:
        return _head_decoder.decode(trial.spec.run_spec)
    except msgspec.DecodeError:
        return _Head()
