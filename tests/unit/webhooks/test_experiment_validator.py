"""The validator's own part: namespace, look-ups, volume, and what passes unseen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfx.algorithms import ALGORITHMS
from kfx.apis.core import ConfigMap
from kfx.apis.experiment import Experiment
from kfx.katib.defaults import default_experiment
from kfx.kube.errors import Forbidden, ServerError, TransportError
from kfx.kube.model import ObjectMeta
from kfx.runtime.admission import Allowed, Denied, Verdict
from kfx.runtime.store import Store
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.experiment_validator import ExperimentValidator
from tests.experiment_cases import change, load
from tests.unit.webhooks.documents import Answer, Documents, refusal, request

LABEL = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
OPEN: Mapping[tuple[str, str], Answer] = {("Namespace", "user"): {"metadata": {"labels": LABEL}}}
BASE = default_experiment(load("base.yaml"))
FROM_VOLUME = {"/spec/resumePolicy": "FromVolume"}


@dataclass
class Found:
    text: str | None = None
    problem: str = ""


class Templates:
    """Hands out one template, or one error."""

    def __init__(self, found: Found | Exception) -> None:
        self._found = found

    async def read(self, experiment: Experiment) -> Found:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


async def judge(
    document: dict[str, Any],
    old: dict[str, Any] | None = None,
    *,
    answers: Mapping[tuple[str, str], Answer] = OPEN,
    template: Found | Exception | None = None,
    config: Mapping[str, str] | None = None,
) -> Verdict:
    config_maps: Store[ConfigMap] = Store()
    if config is not None:
        metadata = ObjectMeta(name="katib-config", namespace="kubeflow")
        config_maps.put(ConfigMap(metadata=metadata, data=config))
    validator = ExperimentValidator(
        client=Documents(answers),
        templates=Templates(template or Found()),
        config=KatibConfigReader(config_maps=config_maps, core_namespace="kubeflow", collector_image="kfx:1"),
        algorithms=ALGORITHMS,
        trial_resources=("Job.v1.batch",),
    )
    return await validator.handle(request(document, old))


async def test_a_valid_experiment_passes() -> None:
    """4.1.5: with code 200."""
    assert await judge(BASE) == Allowed(warnings=[])


async def test_all_faults_are_told_at_once() -> None:
    """4.1.3: in brackets, parted by commas."""
    changes = {"/spec/algorithm/algorithmName": "best", "/spec/resumePolicy": "Always"}
    verdict = await judge(change(BASE, changes))
    assert verdict == Denied(
        "[spec.algorithm.algorithmName: Invalid value: \"best\": unknown algorithm 'best'; this kfx answers: "
        'random, spec.resumePolicy: Invalid value: "Always": write one of: Never, LongRunning, FromVolume]',
        code=400,
    )


async def test_a_namespace_without_the_label_is_refused_with_the_command_that_helps() -> None:
    """4.1.2, G21: code 400."""
    verdict = await judge(BASE, answers={("Namespace", "user"): {"metadata": {}}})
    assert isinstance(verdict, Denied)
    assert verdict.code == 400
    assert verdict.message.endswith(
        "kubectl label namespace user katib.kubeflow.org/metrics-collector-injection=enabled"
    )


async def test_another_value_of_the_label_is_not_enough() -> None:
    labels = dict.fromkeys(LABEL, "true")
    verdict = await judge(BASE, answers={("Namespace", "user"): {"metadata": {"labels": labels}}})
    assert isinstance(verdict, Denied)


async def test_a_namespace_that_cannot_be_read_is_no_fault_of_the_user() -> None:
    """4.1.2, G21: code 500."""
    for answers in ({}, {("Namespace", "user"): TransportError("cut")}):
        verdict = await judge(BASE, answers=answers)
        assert isinstance(verdict, Denied)
        assert verdict.code == 500


async def test_a_volume_of_an_earlier_experiment_is_in_the_way() -> None:
    """4.1.4, G20: code 400."""
    answers = {**OPEN, ("PersistentVolume", "base-random-user"): {"metadata": {}}}
    verdict = await judge(change(BASE, FROM_VOLUME), answers=answers)
    assert isinstance(verdict, Denied)
    assert (verdict.code, "is not deleted yet" in verdict.message) == (400, True)


async def test_a_volume_that_cannot_be_looked_for_refuses() -> None:
    answers = {**OPEN, ("PersistentVolume", "base-random-user"): refusal(Forbidden, 403)}
    verdict = await judge(change(BASE, FROM_VOLUME), answers=answers)
    assert isinstance(verdict, Denied)
    assert verdict.code == 400


async def test_no_volume_is_looked_for_without_need() -> None:
    """K24: and what is looked for is one object, by name."""
    answers = {**OPEN, ("PersistentVolume", "base-random-user"): {"metadata": {}}}
    assert await judge(BASE, answers=answers) == Allowed(warnings=[])
    stored = change(BASE, FROM_VOLUME)
    assert isinstance(
        await judge(change(stored, {"/spec/maxTrialCount": 13}), stored, answers=answers), Allowed
    )


async def test_without_a_volume_from_volume_passes() -> None:
    assert await judge(change(BASE, FROM_VOLUME)) == Allowed(warnings=[])


async def test_a_change_of_metadata_passes_whatever_became_of_the_namespace() -> None:
    """U12, K3: no look-up at all."""
    changed = change(BASE, {"/metadata/finalizers": [], "/metadata/annotations": {"a": "b"}})
    assert await judge(changed, BASE, answers={}) == Allowed()


async def test_an_experiment_stored_before_a_default_existed_can_lose_its_finalizer() -> None:
    """U11, K2: both sides are defaulted."""
    assert await judge(default_experiment(load("base.yaml")), load("base.yaml"), answers={}) == Allowed()


async def test_what_is_going_passes_even_if_it_cannot_be_read() -> None:
    """K3: whatever it holds."""
    document = {"metadata": {"name": "e", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": 1}
    assert await judge(document, document, answers={}) == Allowed()


async def test_an_update_is_held_to_the_rules_of_updates() -> None:
    verdict = await judge(change(BASE, {"/spec/objective/goal": 0.5}), BASE)
    assert isinstance(verdict, Denied)
    assert verdict.message.startswith("spec: Forbidden: only spec.parallelTrialCount")


async def test_types_are_checked_where_the_defaulter_was_bypassed() -> None:
    """4.1.1: code 400 for either object."""
    for new, old in ((change(BASE, {"/spec/maxTrialCount": "1"}), None), (BASE, change(BASE, {"/spec": 1}))):
        verdict = await judge(new, old)
        assert isinstance(verdict, Denied)
        assert verdict.code == 400


CONFIG_MAP = {"configMapName": "c", "configMapNamespace": "user", "templatePath": "t"}
IN_CONFIG_MAP = change(BASE, {"/spec/trialTemplate/configMap": CONFIG_MAP}, ["/spec/trialTemplate/trialSpec"])
TEXT = """
apiVersion: batch/v1
kind: Job
spec: {a: '${trialParameters.learningRate} ${trialParameters.momentum}'}
"""


async def test_a_template_is_read_from_its_config_map() -> None:
    verdict = await judge(IN_CONFIG_MAP, template=Found(TEXT))
    assert isinstance(verdict, Denied)
    assert "unknown field spec.a" in verdict.message


async def test_a_template_that_is_not_to_be_had_refuses_with_the_reason() -> None:
    for template in (Found(problem="configMap not found: x"), refusal(ServerError, 500)):
        verdict = await judge(IN_CONFIG_MAP, template=template)
        assert isinstance(verdict, Denied)
        assert 'spec.trialTemplate: Invalid value: "": configMap not found' in verdict.message


async def test_warnings_reach_the_user() -> None:
    verdict = await judge(change(BASE, {"/spec/trialTemplate/primaryContainerName": "other"}))
    assert isinstance(verdict, Allowed)
    assert len(verdict.warnings) == 1


async def test_a_broken_configuration_is_told_with_its_cause() -> None:
    verdict = await judge(BASE, config={"katib-config.yaml": "kind: Foo"})
    assert isinstance(verdict, Denied)
    assert "no kind 'Foo' is registered" in verdict.message


async def test_settings_that_the_algorithm_will_refuse_are_warned_about() -> None:
    """K16: a warning, since the Experiment itself is well formed."""
    settings = [{"name": "random_state", "value": "-1"}]
    verdict = await judge(change(BASE, {"/spec/algorithm/algorithmSettings": settings}))
    assert verdict == Allowed(
        warnings=[
            "the Experiment will fail, algorithm random refuses it: "
            "random_state should be great or equal than zero"
        ]
    )


async def test_an_algorithm_that_only_an_image_answers_is_accepted() -> None:
    """V15: katib-config names its image."""
    text = "apiVersion: config.kubeflow.org/v1beta1\nkind: KatibConfig\n"
    text += "runtime: {suggestions: [{algorithmName: tpe, image: some}]}"
    changed = change(BASE, {"/spec/algorithm/algorithmName": "tpe"})
    assert isinstance(await judge(changed, config={"katib-config.yaml": text}), Allowed)
