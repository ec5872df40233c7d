"""Which points there are, how they are spread over runs, and when one has come."""

import pytest

from hack.verify.kill_points import PHASES, Point, Schedule, all_points, name_write, sample, spread

WRITES = {"create jobs": 12, "patch trials/status": 36, "create suggestions": 1}


@pytest.mark.parametrize(
    ("method", "target", "write"),
    [
        ("POST", "/apis/batch/v1/namespaces/default/jobs", "create jobs"),
        ("PATCH", "/apis/kubeflow.org/v1beta1/namespaces/n/trials/t/status", "patch trials/status"),
        ("DELETE", "/apis/batch/v1/namespaces/n/jobs/j?x=y", "delete jobs"),
        ("GET", "/apis/batch/v1/namespaces/n/jobs/j", ""),
        ("POST", "/api/v1/namespaces/n/events", ""),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kubeflow/leases/jobs-lease", ""),
    ],
)
def test_a_write_is_named_by_verb_and_kind(method: str, target: str, write: str) -> None:
    assert name_write(method, target) == write


def test_every_write_is_a_point_in_every_phase() -> None:
    assert len(set(all_points(WRITES))) == 3 * 49


def test_a_sample_holds_one_point_of_each_kind_and_phase() -> None:
    points = sample(WRITES, seed=7)
    assert {(p.write, p.phase) for p in points} == {(w, phase) for w in WRITES for phase in PHASES}
    assert len(points) == 9
    assert all(1 <= p.number <= max(1, WRITES[p.write] * 2 // 3) for p in points)
    assert sample(WRITES, seed=7) == points
    assert sample(WRITES, seed=8) != points


def test_points_are_spread_so_that_no_write_is_in_a_run_twice() -> None:
    points = [*all_points(WRITES)]
    rounds = spread(points, 14)
    assert sorted(point for each in rounds for point in each) == sorted(points)
    assert max(map(len, rounds)) <= 16
    for each in rounds:
        assert len({(p.write, p.number) for p in each}) == len(each)


def test_three_phases_of_the_only_write_take_three_runs() -> None:
    points = [Point("create suggestions", 1, phase) for phase in PHASES]
    assert sorted(map(len, spread(points, 14))) == [1, 1, 1]


def test_a_point_is_due_once_when_its_write_has_come() -> None:
    before, between = Point("create jobs", 2, "before"), Point("create jobs", 2, "between")
    schedule = Schedule([before, between])
    assert not schedule.is_due("create jobs", "before")
    schedule.accepted["create jobs"] += 1
    assert schedule.is_due("create jobs", "before")
    assert not schedule.is_due("create jobs", "before")
    schedule.accepted["create jobs"] += 1
    assert schedule.is_due("create jobs", "between")
    assert schedule.hit == [before, between]
    assert not schedule.left


def test_writes_under_way_count_for_the_next() -> None:
    schedule = Schedule([Point("create jobs", 2, "before")])
    schedule.under_way["create jobs"] = 1
    assert schedule.is_due("create jobs", "before")
