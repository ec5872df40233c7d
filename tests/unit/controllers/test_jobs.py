from typing import Any

import pytest

from kfx.config import TRIAL_RESOURCES
from kfx.controllers.jobs import (
    MOST_UNLISTED,
    JobLister,
    not_followed,
    parse_trial_resource,
    parse_trial_resources,
)
from kfx.kube.resource import Resource
from kfx.runtime.store import Store
from tests.katib_objects import JOBS, as_unstructured, job_document, trial
from tests.unit.controllers.parts import store_of


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("Job.v1.batch", JOBS),
        ("TFJob.v1.kubeflow.org", Resource("kubeflow.org", "v1", "tfjobs", "TFJob")),
        (
            "TrainJob.v1alpha1.trainer.kubeflow.org",
            Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"),
        ),
        ("Proxy.v1.example.org", Resource("example.org", "v1", "proxies", "Proxy")),
        ("Bus.v1.example.org", Resource("example.org", "v1", "buses", "Bus")),
        ("Pod.v1.", Resource("", "v1", "pods", "Pod")),
    ],
)
def test_a_trial_resource_is_read(text: str, resource: Resource) -> None:
    assert parse_trial_resource(text) == resource


@pytest.mark.parametrize("text", ["", "Job", "Job.v1", ".v1.batch", "Job..batch"])
def test_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"Kind\.version\.group, such as Job\.v1\.batch"):
        parse_trial_resource(text)


def test_katibs_own_list_is_read_each_once() -> None:
    found = parse_trial_resources((*TRIAL_RESOURCES, "Job.v1.batch"))
    assert [r.plural for r in found] == [
        "trainjobs", "jobs", "tfjobs", "pytorchjobs", "mpijobs", "xgboostjobs",
    ]  # fmt: skip


def test_a_job_is_found_in_the_cache_of_its_kind() -> None:
    job = as_unstructured(job_document("Complete"))
    jobs = JobLister({JOBS: store_of(job)})
    assert jobs.resource_of(trial()) == JOBS
    assert jobs.get(JOBS, trial()) is job
    assert jobs.get(JOBS, trial(name="e-2")) is None


@pytest.mark.parametrize(
    ("run_spec", "reason", "said"),
    [
        (
            {"apiVersion": "example.org/v1", "kind": "Run"},
            "KindNotFollowed",
            "add Run.v1.example.org to --trial-resources",
        ),
        ({"apiVersion": "v1", "kind": "Pod"}, "KindNotFollowed", "add Pod.v1. to --trial-resources"),
        ({"apiVersion": "v1", "kind": "Secret"}, "KindNotFollowed", "no trial may run kind Secret (v1)"),
        ({}, "InvalidRunSpec", "correct the template"),
        (b"[]", "InvalidRunSpec", "correct the template"),
        (b"{", "InvalidRunSpec", "correct the template"),
    ],
)
def test_a_kind_that_is_not_followed_is_refused_with_the_remedy(
    run_spec: bytes, reason: str, said: str
) -> None:
    of = trial(run_spec=run_spec)
    assert JobLister({JOBS: store_of()}).resource_of(of) is None
    found = not_followed(of)
    assert found.reason == reason
    assert said in found.message


def test_a_kind_that_no_trial_may_run_is_not_run_though_a_flag_names_it() -> None:
    """R 3.4 D1, at creation time: a Trial need not have come through admission."""
    roles = parse_trial_resource("Role.v1.rbac.authorization.k8s.io")
    of = trial(run_spec={"apiVersion": roles.api_version, "kind": roles.kind})
    assert JobLister({roles: store_of()}).resource_of(of) is None


class TestOtherKinds:
    """Under the name katib-controller a trial may be of any kind, as with Katib; its end is seen, too."""

    @staticmethod
    def following() -> tuple[JobLister, list[str]]:
        begun: list[str] = []

        def follow(kind: Resource) -> Store[Any]:
            begun.append(str(kind))
            return store_of()

        jobs = JobLister({JOBS: store_of()})
        jobs.follow_others(follow)
        return jobs, begun

    def test_a_kind_is_followed_from_its_first_trial_on(self) -> None:
        jobs, begun = self.following()
        of = trial(run_spec={"apiVersion": "example.org/v1", "kind": "Run"})
        for _ in range(2):
            assert jobs.resource_of(of) == Resource("example.org", "v1", "runs", "Run")
        assert begun == ["runs.example.org"]
        assert jobs.get(Resource("example.org", "v1", "runs", "Run"), of) is None

    @pytest.mark.parametrize(
        "head",
        [
            {"apiVersion": "v1", "kind": "Secret"},
            {"apiVersion": "v1", "kind": "secret"},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"},
            {"apiVersion": "kubeflow.org/v1beta1", "kind": "Trial"},
            {"apiVersion": "../v1", "kind": "Run"},
            {"apiVersion": "example.org/v1", "kind": "Run/x"},
            {"apiVersion": "example.org/v1"},
            {},
        ],
    )
    def test_what_no_trial_may_run_is_not(self, head: dict[str, str]) -> None:
        jobs, begun = self.following()
        assert jobs.resource_of(trial(run_spec=head)) is None
        assert begun == []

    def test_there_is_an_end_to_how_many(self) -> None:
        jobs, begun = self.following()
        kinds = [
            trial(run_spec={"apiVersion": f"g{n}.org/v1", "kind": "Run"}) for n in range(MOST_UNLISTED + 1)
        ]
        assert [jobs.resource_of(of) is None for of in kinds] == [False] * MOST_UNLISTED + [True]
        assert len(begun) == MOST_UNLISTED
