"""Suggestions whose algorithm runs in an image: what there is of its objects, and what it has said so far."""

from collections.abc import Callable

from kfx.apis.apps import Deployment, Service
from kfx.apis.experiment import Experiment
from kfx.apis.katib_config import SuggestionEntry
from kfx.apis.suggestion import Suggestion
from kfx.controllers.exchanges import Exchanges
from kfx.controllers.stopwatch import Stopwatches
from kfx.katib import conditions as c
from kfx.katib.compose import service_name
from kfx.katib.image_suggestion import (
    ImageSuggestionSeen,
    Word,
    is_available,
    plan_clean_up,
    plan_image_suggestion,
)
from kfx.katib.katib_config import RuntimeConfig
from kfx.katib.names import LABEL_DEPLOYMENT, is_controlled_by
from kfx.katib.suggestion import is_busy, is_live, next_number, overlay_settings, wanted
from kfx.katib.suggestion_objects import compose_service_objects
from kfx.katib.tally import Tally
from kfx.runtime.plan import Create, Note, Plan
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister
from kfx.services.algorithm_client import Endpoint, Question

READY_PATIENCE = 180.0
"""Seconds after which one is told that a Deployment is not available, and again as long as it is not."""

_TELLING = ("ReplicaFailure", "Progressing")


class ImageSuggestions:
    """Plans for Suggestions that need an image. Never waits: questions are put to ``exchanges``.

    ``config``: katib-config as it stands; raises KatibConfigError. ``probes``: containers get gRPC probes.
    """

    def __init__(
        self,
        *,
        deployments: Lister[Deployment],
        services: Lister[Service],
        exchanges: Exchanges,
        config: Callable[[], RuntimeConfig],
        probes: bool,
        clock: Callable[[], float],
    ) -> None:
        self._deployments = deployments
        self._services = services
        self._exchanges = exchanges
        self._config = config
        self._probes = probes
        self._unready = Stopwatches(clock)

    def forget(self, key: Request) -> None:
        """The Suggestion is gone, or runs no more."""
        self._exchanges.forget(key)
        self._unready.stop(key)

    def entry(self, algorithm: str) -> SuggestionEntry | None:
        """What katib-config says of an algorithm. Raises KatibConfigError."""
        return self._config().suggestions.get(algorithm)

    def clean_up(self, suggestion: Suggestion) -> Plan:
        """What has to go with a Suggestion that has ended, wherever its algorithm ran."""
        name = Request(suggestion.metadata.namespace, service_name(suggestion))
        self.forget(Request(*suggestion.key))
        return plan_clean_up(suggestion, self._deployments.get(name), self._services.get(name))

    def plan(self, suggestion: Suggestion, experiment: Experiment, trials: Tally, now: str) -> Plan:
        """The next writes. Raises KatibConfigError where something is missing that cannot be made."""
        seen = ImageSuggestionSeen(suggestion=suggestion)
        if is_live(suggestion):
            seen = self._look(suggestion, experiment, trials)
        return plan_image_suggestion(seen, now)

    def _look(self, suggestion: Suggestion, experiment: Experiment, trials: Tally) -> ImageSuggestionSeen:
        name = Request(suggestion.metadata.namespace, service_name(suggestion))
        deployment, service = self._deployments.get(name), self._services.get(name)
        if deployment is not None and not is_controlled_by(deployment.metadata.controller, suggestion):
            deployment = None
        if service is not None and not is_controlled_by(service.metadata.controller, suggestion):
            service = None
        whole = deployment is not None and service is not None
        return ImageSuggestionSeen(
            suggestion=suggestion,
            trials=trials,
            missing=() if whole else self._compose(suggestion),
            deployment=deployment,
            word=self._hear(suggestion, experiment, trials, deployment, service),
        )

    def _compose(self, suggestion: Suggestion) -> tuple[Create, ...]:
        return compose_service_objects(suggestion, self._config(), probes=self._probes)

    def _hear(
        self,
        suggestion: Suggestion,
        experiment: Experiment,
        trials: Tally,
        deployment: Deployment | None,
        service: Service | None,
    ) -> Word:
        key = Request(*suggestion.key)
        if not is_available(deployment):
            return self._wait(key, deployment)
        self._unready.stop(key)
        if service is None or service.spec.cluster_ip in {"", "None"}:
            return Word()  # the Service's event brings us back
        return self._talk(key, _endpoint(service), suggestion, experiment, trials)

    def _talk(
        self, key: Request, endpoint: Endpoint, suggestion: Suggestion, experiment: Experiment, trials: Tally
    ) -> Word:
        uid, status = suggestion.metadata.uid, suggestion.status
        if not c.has(status.conditions, c.RUNNING):
            return self._exchanges.validate(key, uid, endpoint, experiment)

        def question() -> Question:
            return Question(
                experiment=overlay_settings(experiment, suggestion),
                trials=trials.told(),
                start=next_number(status, trials),
                count=wanted(suggestion),
                requests=suggestion.spec.requests,
                busy=is_busy(trials, status),
            )

        return self._exchanges.propose(key, uid, endpoint, status, suggestion.spec.requests, question)

    def _wait(self, key: Request, deployment: Deployment | None) -> Word:
        left = READY_PATIENCE - self._unready.elapsed(key)
        if deployment is None or left > 0:
            return Word(again=max(left, 1.0))
        self._unready.stop(key)
        self._unready.start(key)
        return Word(note=_why_not_ready(deployment), again=READY_PATIENCE)


def _endpoint(service: Service) -> Endpoint:
    host = f"{service.metadata.name}.{service.metadata.namespace}"
    return Endpoint(address=service.spec.cluster_ip, host=host)


def _why_not_ready(deployment: Deployment) -> Note:
    namespace, name = deployment.key
    said = [
        each.message
        for each in deployment.status.conditions
        if each.type in _TELLING
        and each.message
        and (each.type == "ReplicaFailure" or each.status == "False")
    ]
    why = f": {'; '.join(said)[:500]}" if said else ""
    return Note(
        "Warning",
        "DeploymentNotReady",
        f"Deployment {namespace}/{name} of the algorithm is not available for {READY_PATIENCE:g} s{why}; "
        f"look at kubectl -n {namespace} describe pods -l {LABEL_DEPLOYMENT}={name}",
    )
