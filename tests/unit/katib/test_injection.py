"""What a pod of a trial gets, against the contract's table P1 to P22 and cases of our own."""

from pathlib import Path
from typing import Any

import jsonpatch
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.experiment_document import drop_nulls
from kfx.katib.image_suggestion import Inside
from kfx.katib.injection import InjectionSettings, TrialPod, inject
from kfx.katib.katib_config import parse_runtime_config
from kfx.katib.sidecar import InjectionError
from kfx.registry.image import ImageCommand
from tests.experiment_cases import change, expected
from tests.katib_objects import as_pod

FOLDER = Path(__file__).parents[2] / "golden" / "injection"
BASE = yaml.safe_load((FOLDER / "base.yaml").read_text(encoding="utf-8"))
CASES = yaml.safe_load((FOLDER / "cases.yaml").read_text(encoding="utf-8"))


def settings(case: dict[str, Any]) -> InjectionSettings:
    return InjectionSettings(
        db_manager_address="katib-db-manager.kubeflow:6789",
        collector_image="kfx:1",
        early_stopping_address=case.get("early_stopping", ""),
        inside=Inside(case.get("inside", ())),
        inject_security_context=case.get("inject_security_context", False),
        native_sidecar=case.get("native", False),
    )


def pod_of(case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = change(BASE["pod"], case.get("pod", {}), case.get("remove", ()))
    return found


def trial_of(case: dict[str, Any]) -> Trial:
    document = drop_nulls(change(BASE["trial"], case.get("trial", {})))
    return msgspec.json.decode(msgspec.json.encode(document), type=Trial)


def operations(case: dict[str, Any], pod: dict[str, Any]) -> list[dict[str, Any]]:
    changes = case.get("suggestion", {})
    suggestion = (
        None
        if changes is None
        else msgspec.convert(change(BASE["suggestion"], changes), Suggestion, strict=True)
    )
    config = parse_runtime_config({"katib-config.yaml": case.get("config", BASE["config"])})
    trial = trial_of(case)
    image = ImageCommand(*map(tuple, (case.get("image", {}).get(each, ()) for each in ("entrypoint", "cmd"))))
    seen = TrialPod.of(as_pod(pod), trial)
    container = seen.commandless
    words = image.before(container.args or ()) if container is not None else ()
    found = inject(seen, suggestion=suggestion, config=config, settings=settings(case), image=words)
    return list(msgspec.json.decode(msgspec.json.encode(found)))


def injected(case: dict[str, Any]) -> dict[str, Any]:
    pod = pod_of(case)
    found: dict[str, Any] = jsonpatch.apply_patch(pod, operations(case, pod))
    return found


def mount(entry: dict[str, Any]) -> str:
    parts = (entry["name"], entry["mountPath"], entry.get("subPath"))
    return " ".join(part for part in parts if part)


def volume(entry: dict[str, Any]) -> str:
    claim = entry.get("persistentVolumeClaim", {}).get("claimName")
    return f"{entry['name']} {claim}" if claim else str(entry["name"])


def view(pod: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The parts of a pod that the table speaks of."""
    containers = pod["spec"]["containers"]
    main = next((item for item in containers if item["name"] == "main"), containers[0])
    init = pod["spec"].get("initContainers") or []
    last = init[-1] if init and "restartPolicy" in init[-1] else containers[-1]
    parts = {
        "names": [item["name"] for item in containers],
        "init": [item["name"] for item in init],
        "args": " ".join(last.get("args") or ()),
        "shell": main.get("command"),
        "script": " ".join(main.get("args") or ()),
        "mounts": {
            item["name"]: [mount(entry) for entry in item.get("volumeMounts") or ()] for item in containers
        },
        "volumes": [volume(entry) for entry in pod["spec"].get("volumes") or ()],
        "share": pod["spec"].get("shareProcessNamespace"),
        "grace": pod["spec"].get("terminationGracePeriodSeconds"),
        "labels": pod["metadata"].get("labels"),
        "annotations": pod["metadata"].get("annotations"),
        "env": [entry["name"] for entry in main.get("env") or ()],
        "environment": {
            item["name"]: [entry["name"] for entry in item.get("env") or ()] for item in containers
        },
        "sidecar": {key: last.get(key) for key in wanted.get("sidecar", ())},
        "team": pod["metadata"].get("labels", {}).get("team"),
        "unheardOf": main.get("unheardOf"),
    }
    return {key: parts[key] for key in wanted}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_a_pod_is_changed_as_the_contract_says(case: dict[str, Any]) -> None:
    wanted = expected(case)
    if "denied" in wanted:
        assert wanted["denied"] == 400
        with pytest.raises(InjectionError):
            injected(case)
        return
    assert view(injected(case), wanted) == wanted


@pytest.mark.parametrize(
    "case", [case for case in CASES if "denied" not in expected(case)], ids=lambda case: str(case["id"])
)
def test_a_pod_that_was_here_before_is_left_alone(case: dict[str, Any]) -> None:
    assert operations(case, injected(case)) == []


@pytest.mark.parametrize(
    "case", [case for case in CASES if "denied" not in expected(case)], ids=lambda case: str(case["id"])
)
def test_nothing_is_ever_removed(case: dict[str, Any]) -> None:
    pod = pod_of(case)
    assert {operation["op"] for operation in operations(case, pod)} <= {"add"}


def test_the_trials_name_comes_from_its_label() -> None:
    (variable,) = injected({})["spec"]["containers"][0]["env"]
    path = "metadata.labels['katib.kubeflow.org/trial']"
    assert variable == {"name": "KATIB_TRIAL_NAME", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("inside", "told"), [(("pbt",), "katib-db-manager.kubeflow:6788"), (("random",), "exp-pbt.user:6788")]
)
def test_an_early_stop_is_told_where_the_rule_runs(inside: tuple[str, ...], told: str) -> None:
    rules = {"/spec/earlyStoppingRules": [{"name": "loss", "value": "2", "comparison": "less"}]}
    pod = injected({"trial": rules, "early_stopping": "katib-db-manager.kubeflow:6788", "inside": inside})
    assert pod["spec"]["containers"][1]["args"][-2:] == ["-s-earlystop", told]


def test_a_refusal_names_the_container_and_the_remedy() -> None:
    with pytest.raises(InjectionError) as caught:
        injected({"remove": ["/spec/containers/0/command", "/spec/containers/0/args"]})
    assert str(caught.value) == (
        "container main of Trial exp-aaaa cannot be wrapped: neither it nor its image has a command; "
        "set command in the Experiment's trialTemplate"
    )
    with pytest.raises(InjectionError) as caught:
        injected({"pod": {"/spec/containers/0/name": "worker"}})
    assert "unable to find primary container main of Trial exp-aaaa in pod containers: worker; " in str(
        caught.value
    )


def test_a_file_collector_without_a_path_is_refused() -> None:
    with pytest.raises(InjectionError, match=r"fileSystemPath\.path is missing"):
        injected({"trial": {"/spec/metricsCollector": {"collector": {"kind": "File"}}}})


def test_a_custom_collector_without_a_container_is_refused() -> None:
    with pytest.raises(InjectionError, match="customCollector is missing"):
        injected({"trial": {"/spec/metricsCollector": {"collector": {"kind": "Custom"}}}})


def test_labels_with_slashes_and_tildes_are_set() -> None:
    assert injected({"trial": {"/metadata/labels": {"a~b": "c"}}})["metadata"]["labels"]["a~b"] == "c"


@pytest.mark.parametrize(
    ("labels", "found", "primary"),
    [
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}, True),
        ({"a": "1", "b": "2"}, {"a": "1"}, False),
        ({"a": "1"}, {"a": "2"}, False),
        ({}, {}, True),
    ],
)
def test_a_primary_pod_has_all_the_labels(
    labels: dict[str, str], found: dict[str, str], primary: bool
) -> None:
    trial = trial_of({"trial": {"/spec/primaryPodLabels": labels}})
    pod = pod_of({"pod": {"/metadata/labels": found}})
    assert TrialPod.of(as_pod(pod), trial).needs_collector is primary


@pytest.mark.parametrize(
    ("pod", "container", "expected_part"),
    [
        ({}, {}, {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "KILL"]}}),
        ({"runAsUser": 5}, {"runAsUser": 6}, {"runAsUser": 6, "runAsNonRoot": True}),
        ({"runAsNonRoot": True}, {}, {"runAsNonRoot": True}),
        ({"runAsUser": 5, "runAsGroup": 7}, {}, {"runAsUser": 5, "runAsGroup": 7, "runAsNonRoot": True}),
    ],
)
def test_kfxs_own_collector_runs_as_the_training_does(
    pod: dict[str, Any], container: dict[str, Any], expected_part: dict[str, Any]
) -> None:
    """K20: as the primary container, in a restricted context."""
    case = {
        "config": "{runtime: {metricsCollectors: [{kind: StdOut, image: 'kfx:1'}]}}",
        "pod": {"/spec/securityContext": pod, "/spec/containers/0/securityContext": container},
    }
    assert injected(case)["spec"]["containers"][1]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        **expected_part,
    }


NAMES = st.sampled_from(["main", "worker", "proxy"])
WORDS = st.lists(
    st.sampled_from(["sh", "-c", "bash", "python3", "a b", "$X", "$(Y)", "exit 1; x", "'q'", ""])
)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "image": st.just("i")},
        optional={
            "command": WORDS,
            "args": WORDS,
            "env": st.lists(st.fixed_dictionaries({"name": st.just("KATIB_TRIAL_NAME"), "value": st.text()})),
            "volumeMounts": st.lists(st.just({"name": "v", "mountPath": "/v"})),
        },
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda container: str(container["name"]),
)
COLLECTORS = st.sampled_from(
    [
        {"collector": {"kind": "StdOut"}},
        {"collector": {"kind": "File"}, "source": {"fileSystemPath": {"path": "/m/log", "format": "TEXT"}}},
        {"collector": {"kind": "Push"}},
        {"collector": {"kind": "Custom", "customCollector": {"name": "mine", "image": "i"}}},
    ]
)


@given(
    CONTAINERS,
    st.dictionaries(st.sampled_from(["role", "team", "x"]), st.sampled_from(["a", "x"])),
    st.none() | st.dictionaries(st.sampled_from(["role", "team"]), st.sampled_from(["a", "x"])),
    COLLECTORS,
    st.booleans(),
)
def test_a_second_call_never_changes_what_the_first_has_made(
    containers: list[dict[str, Any]],
    labels: dict[str, str],
    primary: dict[str, str] | None,
    collector: dict[str, Any],
    native: bool,
) -> None:
    case = {
        "native": native,
        "config": "{runtime: {metricsCollectors: [{kind: StdOut, image: 'kfx:1'}, {kind: File, image: f}]}}",
        "pod": {"/spec/containers": containers, "/metadata/labels": labels},
        "trial": {"/spec/metricsCollector": collector, "/spec/primaryPodLabels": primary},
        "image": {"entrypoint": ["app"]},
    }
    try:
        changed = injected(case)
    except InjectionError:
        return
    assert operations(case, changed) == []
    kept = [container["name"] for container in containers]
    assert [item["name"] for item in changed["spec"]["containers"]][: len(kept)] == kept
