"""``/mutate-pod``: the pods of a trial get the container that collects its metrics."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.injection import InjectionSettings, inject, needs_collector
from kfx.katib.katib_config import EMPTY_CONFIG, KatibConfigError
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.katib.sidecar import InjectionError
from kfx.kube.errors import ApiError, NotFound, TransportError
from kfx.kube.model import KubeObject
from kfx.runtime.admission import AdmissionRequest, Allowed, Denied, Verdict
from kfx.runtime.plan import Note
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.owners import OwnerWalk, Reference

T = TypeVar("T", bound=KubeObject)

REFUSED = "PodRefused"


class Recorder(Protocol):
    """Where notes go; never waits."""

    def note(self, owner: KubeObject, note: Note) -> None: ...


class ObjectReader(Protocol):
    """Reads one object past the cache."""

    async def get(self, kind: type[T], namespace: str, name: str) -> T: ...


class PodInjector:
    """Finds the pod's Trial, in the cache where it can, and lets the rules of injection change the pod.

    ``recorder``: a refusal is told to the Trial too, as only the pod's creator reads the answer.
    """

    path = "/mutate-pod"

    def __init__(
        self,
        *,
        client: ObjectReader,
        owners: OwnerWalk,
        trials: Lister[Trial],
        suggestions: Lister[Suggestion],
        config: KatibConfigReader,
        settings: InjectionSettings,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._client = client
        self._owners = owners
        self._trials = trials
        self._suggestions = suggestions
        self._config = config
        self._settings = settings

    async def handle(self, request: AdmissionRequest) -> Verdict:
        """A pod of no trial passes untouched; one whose trial cannot be read is put off with code 500."""
        pod = request.document()
        try:
            owner = await self._owners.find_trial(pod, request.namespace)
            trial = owner and await self._read_trial(owner, request.namespace)
        except (ApiError, TransportError) as error:
            message = f"cannot tell which Trial the pod belongs to: {error}; its creator will try again"
            return Denied(message, code=500)
        if not trial:
            return Allowed()
        verdict = await self._inject(pod, trial)
        if isinstance(verdict, Denied) and self._recorder is not None and not request.dry_run:
            self._recorder.note(trial, Note("Warning", REFUSED, f"a pod was refused: {verdict.message}"))
        return verdict

    async def _inject(self, pod: Mapping[str, Any], trial: Trial) -> Verdict:
        try:
            collected = needs_collector(pod, trial)
            suggestion = await self._read_suggestion(trial) if collected else None
            config = self._config.read() if collected else EMPTY_CONFIG
            operations = inject(pod, trial, suggestion=suggestion, config=config, settings=self._settings)
        except (InjectionError, KatibConfigError) as error:
            return Denied(str(error))
        except (ApiError, TransportError) as error:
            return Denied(f"cannot read the Suggestion of {trial}: {error}; try again", code=500)
        return Allowed(operations or None)

    async def _read_trial(self, owner: Reference, namespace: str) -> Trial | None:
        """The Trial that is meant, ``None`` where only a namesake of it is left."""
        name, uid = str(owner.get("name") or ""), owner.get("uid")
        cached = self._trials.get(Request(namespace, name))
        if cached is not None and cached.metadata.uid == uid:
            return cached
        live = await self._client.get(Trial, namespace, name)
        return live if live.metadata.uid == uid else None

    async def _read_suggestion(self, trial: Trial) -> Suggestion | None:
        name = trial.metadata.label(LABEL_EXPERIMENT)
        cached = self._suggestions.get(Request(trial.metadata.namespace, name))
        if cached is not None or not name:
            return cached
        try:
            return await self._client.get(Suggestion, trial.metadata.namespace, name)
        except NotFound:
            return None
