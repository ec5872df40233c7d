"""Fields and types of a Job."""

from typing import Any

import pytest

from kfx.katib.job_schema import find_problems


def problems(value: Any, kind: str = "Job") -> list[str]:
    return [problem.text for problem in find_problems(value, kind)]


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": spec}}}


def test_a_complete_job_has_no_problem() -> None:
    container = {
        "name": "c",
        "env": [{"name": "A", "value": ""}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}],
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": "web"}, "tcpSocket": {"port": 1}},
        "resources": {"limits": {"cpu": 0.5, "nvidia.com/gpu": 1, "memory": "1Gi"}},
        "securityContext": {"runAsNonRoot": False},
    }
    job = pod(containers=[container], nodeSelector={"a": "b"}, volumes=[{"emptyDir": {}}], affinity=None)
    assert problems({**job, "metadata": {"creationTimestamp": None}, "status": {}}) == []


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (pod(containers={"a": "b"}), "spec.template.spec.containers: expected list, found object"),
        (pod(containers=["x"]), "spec.template.spec.containers[0]: expected object, found string"),
        (pod(hostNetwork="yes"), "spec.template.spec.hostNetwork: expected bool, found string"),
        (pod(nodeSelector={"a": 1}), "spec.template.spec.nodeSelector[a]: expected string, found int"),
        (pod(nodeSelector=[]), "spec.template.spec.nodeSelector: expected object, found list"),
        (pod(priority=True), "spec.template.spec.priority: expected int, found bool"),
        (pod(priority=1.5), "spec.template.spec.priority: expected int, found number"),
        (pod(overhead={"cpu": "x"}), "spec.template.spec.overhead[cpu]: 'x' is no quantity"),
        (
            pod(restartpolicy="Never"),
            "unknown field spec.template.spec.restartpolicy; did you mean restartPolicy?",
        ),
        (pod(zzzz=1), "unknown field spec.template.spec.zzzz; remove it, PodSpec has no such field"),
    ],
)
def test_a_problem_names_path_and_remedy(job: dict[str, Any], text: str) -> None:
    (found,) = problems(job)
    assert found.startswith(text)


def test_problems_come_in_the_documents_order() -> None:
    assert [text.split(";")[0] for text in problems({"b": 1, "a": 1})] == [
        "unknown field b",
        "unknown field a",
    ]
