"""``/mutate-pod``: the pods of a trial get the container that collects its metrics."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.injection import InjectionSettings, Operations, TrialPod, inject
from kfx.katib.katib_config import EMPTY_CONFIG, KatibConfigError
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.katib.pod_shape import POD, Container, Pod, PodShapeError
from kfx.katib.sidecar import InjectionError
from kfx.kube.decode import Undecodable
from kfx.kube.errors import ApiError, NotFound, TransportError
from kfx.kube.model import KubeObject
from kfx.registry.errors import RegistryError, RegistryUnavailable
from kfx.runtime.admission import AdmissionRequest, Allowed, Denied, InvalidRequest, Verdict
from kfx.runtime.plan import Note
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.image_commands import ImageCommands
from kfx.webhooks.owners import OwnerWalk, Reference
from kfx.webhooks.settings_reader import SettingsReader

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
        images: ImageCommands,
        settings: SettingsReader,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._client = client
        self._owners = owners
        self._trials = trials
        self._suggestions = suggestions
        self._config = config
        self._images = images
        self._settings = settings

    def handle_now(self, request: AdmissionRequest) -> Verdict | None:
        """As :meth:`handle` for a trial's pod whose needs are all in caches; ``None`` for any other."""
        pod = _read(request)
        owner = self._owners.find_cached(pod.owners, request.namespace)
        trial = owner and self._cached_trial(owner, request.namespace)
        settings = self._settings.known
        if not trial or settings is None:
            return None
        seen = TrialPod.of(pod, trial)
        suggestion = self._cached_suggestion(trial) if seen.needs_collector else None
        if seen.needs_collector and (suggestion is None or seen.commandless is not None):
            return None
        return Allowed(self._operations(seen, settings, suggestion) or None)

    async def handle(self, request: AdmissionRequest) -> Verdict:
        """A pod of no trial passes untouched; one whose trial cannot be read is put off with code 500."""
        pod = _read(request)
        try:
            owner = self._owners.find_cached(pod.owners, request.namespace)
            owner = owner or await self._owners.find_trial(pod.owners, request.namespace)
            trial = owner and (
                self._cached_trial(owner, request.namespace)
                or await self._read_trial(owner, request.namespace)
            )
        except (ApiError, TransportError, Undecodable, PodShapeError) as error:
            message = f"cannot tell which Trial the pod belongs to: {error}; its creator will try again"
            return Denied(message, code=500)
        if not trial:
            return Allowed()
        verdict = await self._judge(TrialPod.of(pod, trial))
        if isinstance(verdict, Denied) and self._recorder is not None and not request.dry_run:
            self._recorder.note(trial, Note("Warning", REFUSED, f"a pod was refused: {verdict.message}"))
        return verdict

    async def _judge(self, pod: TrialPod) -> Verdict:
        try:
            return Allowed(await self._inject(pod) or None)
        except PodShapeError as error:
            raise InvalidRequest(f"request.object is no pod: {error}") from None
        except (InjectionError, KatibConfigError) as error:
            return Denied(str(error))
        except RegistryError as error:
            return Denied(str(error), code=500 if isinstance(error, RegistryUnavailable) else 400)
        except (ApiError, TransportError, Undecodable) as error:
            return Denied(f"cannot read what the pod of {pod.trial} needs: {error}; try again", code=500)

    async def _inject(self, pod: TrialPod) -> Operations:
        settings = self._settings.known or await self._settings.read()
        if not pod.needs_collector:
            return self._operations(pod, settings, None)
        suggestion = self._cached_suggestion(pod.trial) or await self._read_suggestion(pod.trial)
        commandless = pod.commandless
        image = () if commandless is None else await self._image_words(commandless, pod)
        return self._operations(pod, settings, suggestion, image)

    def _operations(
        self,
        pod: TrialPod,
        settings: InjectionSettings,
        suggestion: Suggestion | None,
        image: Sequence[str] = (),
    ) -> Operations:
        config = self._config.read() if pod.needs_collector else EMPTY_CONFIG
        return inject(pod, suggestion=suggestion, config=config, settings=settings, image=image)

    async def _image_words(self, container: Container, pod: TrialPod) -> Sequence[str]:
        trial = pod.trial
        try:
            return await self._images.find(container, pod.spec, trial.metadata.namespace)
        except RegistryError as error:
            raise type(error)(
                f"container {container.name} of Trial {trial.metadata.name} has no command, and its "
                f"image {str(container.image)[:256]} cannot be asked for one: {error}; or set command "
                "in the Experiment's trialTemplate"
            ) from None

    def _cached_trial(self, owner: Reference, namespace: str) -> Trial | None:
        cached = self._trials.get(Request(namespace, owner.name or ""))
        return cached if cached is not None and cached.metadata.uid == owner.uid else None

    async def _read_trial(self, owner: Reference, namespace: str) -> Trial | None:
        """The Trial that is meant, ``None`` where only a namesake of it is left."""
        if not owner.name:
            return None
        live = await self._client.get(Trial, namespace, owner.name)
        return live if live.metadata.uid == owner.uid else None

    def _cached_suggestion(self, trial: Trial) -> Suggestion | None:
        name = trial.metadata.label(LABEL_EXPERIMENT)
        return self._suggestions.get(Request(trial.metadata.namespace, name))

    async def _read_suggestion(self, trial: Trial) -> Suggestion | None:
        name = trial.metadata.label(LABEL_EXPERIMENT)
        if not name:
            return None
        try:
            return await self._client.get(Suggestion, trial.metadata.namespace, name)
        except NotFound:
            return None


def _read(request: AdmissionRequest) -> Pod:
    return request.read(POD, noun="pod")
