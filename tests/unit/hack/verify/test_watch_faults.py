"""Which faults of watches there are, and which meet in a run."""

from hack.verify.watch_faults import CUT, FROZEN, KINDS, MOMENTS, SILENT, UNSEEN, watch_points, watch_rounds


def test_every_kind_has_every_fault_at_every_moment() -> None:
    points = watch_points()
    assert len(points) == len({*points}) == len(KINDS) * len(MOMENTS) * 3 + 1
    assert {point.fault for point in points} == {CUT, FROZEN, UNSEEN, SILENT}


def test_no_watch_has_two_faults_at_a_moment_and_silence_comes_alone() -> None:
    rounds = watch_rounds(watch_points())
    assert sorted(point for each in rounds for point in each) == sorted(watch_points())
    for each in rounds:
        assert len({(point.kind, point.write, point.number) for point in each}) == len(each)
        assert len(each) == 1 or SILENT not in {point.fault for point in each}
