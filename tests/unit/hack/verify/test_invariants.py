"""Each invariant with a log that breaks it, and one like it that does not."""

from pathlib import Path

import pytest

from hack.verify import invariants
from hack.verify.check import Limits
from tests.unit.hack.verify.audit_log import GC, USER, Log, Story, condition, observed

A, B = "kfx/0.1.0 replica=a-1", "kfx/0.1.0 replica=b-1"


def test_a_run_in_which_nothing_is_wrong_breaks_no_invariant() -> None:
    report = Story().run().judge(Limits(all_ended=True))
    assert report.violations == []
    judged = {name for name, number in report.judged.items() if number}
    assert judged == {"I1", "I2", "I3", "I4", "I5", "I7", "I9"}


def test_I1_two_jobs_for_one_trial() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").job("a")
    log.delete("jobs", "a")
    log.job("a")
    (broken,) = log.judge().violations
    assert (broken.invariant, broken.object) == ("I1", "jobs.batch ns/a")
    assert broken.requests == ("request-4", "request-6")


def test_I1_a_job_that_somebody_else_deleted_may_be_made_again() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").job("a")
    log.delete("jobs", "a", by=USER)
    assert log.job("a").found() == []


def test_I1_a_job_of_another_name_is_a_second_one() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").job("a")
    log.create("jobs", "a-again", owner=("trials", "a"))
    assert log.found() == ["I1"]


def test_I1_a_job_that_the_server_was_not_sure_of_counts_once_it_is_seen() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").job("a")
    log.lines[-1] = log.lines[-1].replace('"code": 200', '"code": 504')
    log.create("jobs", "a-again", owner=("trials", "a"))
    assert log.found() == []
    log.patch("jobs", "a", by=USER, status={"active": 1})
    assert log.found() == ["I1"]


def test_I2_an_assignment_with_two_trials() -> None:
    log = Story().begin(most=5).suggest(a="1").trial("a", "1")
    log.delete("trials", "a")
    log.release("trials", "a")
    assert log.trial("a", "1").found() == ["I2"]


def test_I2_a_trial_that_somebody_else_deleted_comes_back() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1")
    log.delete("trials", "a", by=USER)
    log.release("trials", "a")
    assert log.trial("a", "1").found() == []


def test_I2_a_trial_that_nobody_asked_for() -> None:
    assert Story().begin().suggest(a="1").trial("z", "1").found() == ["I2"]


def test_I2_a_trial_with_other_parameters_than_its_assignment() -> None:
    assert Story().begin().suggest(a="1").trial("a", "2").found() == ["I2"]


def test_I2_an_assignment_that_changes_after_it_was_stored() -> None:
    assert Story().begin().suggest(a="1").suggest(a="2").found() == ["I2"]


def test_I2_an_assignment_that_is_lost() -> None:
    assert Story().begin().suggest(a="1").suggest(b="2").found() == ["I2"]


def test_I2_the_assignment_of_an_ended_trial_may_leave_the_list() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").end("a", "0.5")
    assert log.suggest(b="2").found() == []


def test_I2_an_assignment_that_never_gets_its_trial() -> None:
    log = Story().begin().suggest(a="1", b="2").trial("a", "1")
    log.wait(100)
    log.patch("trials", "a", by=USER, spec={"note": "x"})
    assert log.found() == []
    log.wait(100)
    log.patch("trials", "a", by=USER, spec={"note": "y"})
    assert log.found() == ["I2"]


def test_I3_more_live_trials_than_places() -> None:
    log = Story().begin(most=5, parallel=1).suggest(a="1", b="2").trial("a", "1").trial("b", "2")
    assert log.found() == ["I3"]


def test_I3_a_trial_that_ended_or_goes_leaves_its_place() -> None:
    log = Story().begin(most=5, parallel=1).suggest(a="1", b="2", c="3").trial("a", "1").end("a", "0.5")
    log.trial("b", "2")
    log.delete("trials", "b", by=USER)
    assert log.trial("c", "3").found() == []


def test_I3_who_asks_for_fewer_waits_for_two_minutes() -> None:
    log = Story().begin(most=5).suggest(a="1", b="2").trial("a", "1").trial("b", "2")
    log.patch("experiments", "e", by=USER, spec={"parallelTrialCount": 1})
    log.wait(100)
    log.patch("trials", "a", by=USER, spec={"note": "x"})
    assert log.found() == []
    log.wait(100)
    log.patch("trials", "a", by=USER, spec={"note": "y"})
    assert log.found() == ["I3"]


def test_I4_more_trials_than_the_most() -> None:
    log = Story().begin(most=1).suggest(a="1", b="2").trial("a", "1").end("a", "0.5")
    assert log.trial("b", "2").found() == ["I4"]


def test_I4_success_with_fewer_trials_than_the_most() -> None:
    log = Story().begin(most=3).suggest(a="1").trial("a", "1").end("a", "0.5")
    assert log.finish("a", "0.5", "a").found() == ["I4"]


def test_I4_a_goal_that_is_reached_needs_fewer() -> None:
    log = Story().begin(most=3).suggest(a="1").trial("a", "1").end("a", "0.5")
    assert log.finish("a", "0.5", "a", reason="ExperimentGoalReached").found() == []


def test_I5_a_trial_that_had_ended_runs_again() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").end("a", "0.5")
    log.patch("trials", "a", status={"conditions": [condition("Running")]})
    assert log.found() == ["I5"]


def test_I5_a_trial_that_had_succeeded_fails() -> None:
    assert Story().begin().suggest(a="1").trial("a", "1").end("a", "1").end("a", "1", "Failed").found() == [
        "I5"
    ]


def test_I5_metrics_may_be_missing_after_an_early_stop() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").end("a", "0.5", "EarlyStopped")
    both = [condition("EarlyStopped"), condition("MetricsUnavailable")]
    log.patch("trials", "a", status={"conditions": both})
    assert log.found() == []


def test_I5_an_experiment_goes_on_by_itself() -> None:
    log = Story().run()
    log.patch("experiments", "e", status={"conditions": [condition("Running")]})
    assert log.found() == ["I5"]


def test_I5_an_experiment_goes_on_when_it_may_have_more_trials() -> None:
    log = Story().run()
    log.patch("experiments", "e", by=USER, spec={"maxTrialCount": 4})
    log.patch("experiments", "e", status={"conditions": [condition("Restarting")]})
    assert log.found() == []


def test_I6_a_write_of_one_who_no_longer_leads() -> None:
    log = Story()
    log.lease("one", by=A.replace("kfx/0.1.0", "kfx/leader-election"), verb="create")
    log.begin()
    log.wait(20)
    log.lease("two", by=B)
    log.patch("experiments", "e", by=A, status={"trials": 1})
    log.patch("experiments", "e", by=B, status={"trials": 2})
    (broken,) = log.judge().violations
    assert (broken.invariant, broken.agent) == ("I6", A)
    assert "while two" in broken.text


def test_I6_a_write_of_one_who_never_led_where_all_must() -> None:
    log = Story().begin()
    assert log.found() == []
    assert set(log.found(Limits(lease="ns/election"))) == {"I6"}


def test_I6_a_lease_that_is_taken_while_it_lives() -> None:
    log = Log()
    log.lease("one", by=A, verb="create")
    log.wait(14)
    log.lease("two", by=B)
    assert log.found() == ["I6"]


def test_I6_a_lease_that_ran_out_or_was_given_back_may_be_taken() -> None:
    log = Log()
    log.lease("one", by=A, verb="create")
    log.wait(15)
    log.lease("two", by=B)
    log.lease("", by=B, duration=1)
    log.lease("one", by=A)
    assert log.found() == []


def test_I6_a_lease_that_is_given_back_by_another() -> None:
    log = Log()
    log.lease("one", by=A, verb="create")
    log.lease("", by=B, duration=1)
    assert log.found() == ["I6"]


def test_I6_what_somebody_else_does_to_a_lease_is_not_judged() -> None:
    log = Log()
    log.lease("one", by=A, verb="create")
    log.lease("", by=USER)
    log.lease("two", by=B)
    log.drop_lease(by=USER)
    log.lease("one", by=A, verb="create")
    assert log.found() == []


def test_I7_a_write_that_changes_nothing() -> None:
    log = Story().begin()
    log.patch("experiments", "e", status={"trials": 1})
    assert log.found() == []
    log.patch("experiments", "e", status={"trials": 1}, effect=False)
    assert log.found() == ["I7"]


def test_I7_a_deletion_of_what_is_on_its_way_out() -> None:
    log = Story().begin(most=5).suggest(a="1").trial("a", "1")
    log.delete("trials", "a")
    assert log.found() == []
    log.delete("trials", "a", effect=False)
    assert log.found() == ["I7"]


def test_I7_a_write_long_after_the_end() -> None:
    log = Story().run()
    log.wait(61)
    log.patch("experiments", "e", status={"trials": 9})
    assert log.found() == ["I7"]


def test_I7_a_write_after_the_end_that_somebody_else_caused() -> None:
    log = Story().run()
    log.wait(61)
    log.patch("experiments", "e", by=USER, spec={"note": "x"})
    log.patch("experiments", "e", status={"trials": 9})
    assert log.found() == []


def test_I7_an_experiment_that_never_ends() -> None:
    log = Story().begin()
    assert log.found() == []
    assert log.found(Limits(all_ended=True)) == ["I7"]


def _delete_experiment(log: Story) -> None:
    log.delete("experiments", "e", by=USER)
    log.release("experiments", "e")
    log.delete("suggestions", "e", by=GC)


def test_I8_a_trial_is_left_of_a_deleted_experiment() -> None:
    log = Story().run()
    _delete_experiment(log)
    log.wait(121)
    log.create("experiments", "later", by=USER)
    (broken,) = log.judge().violations
    assert broken.invariant == "I8"
    assert "2 objects are left" in broken.text


def test_I8_everything_goes_in_time() -> None:
    log = Story().run()
    _delete_experiment(log)
    for name in ("a", "b"):
        log.delete("trials", name, by=GC)
        log.release("trials", name)
    log.wait(121)
    log.create("experiments", "later", by=USER)
    report = log.judge()
    assert report.violations == []
    assert report.judged["I8"] == 1


def test_I8_a_log_that_ends_too_early_says_so() -> None:
    log = Story().run()
    _delete_experiment(log)
    assert log.judge().undecided == 1


def test_I9_another_trial_is_better() -> None:
    log = (
        Story().begin().suggest(a="1", b="2").trial("a", "1").trial("b", "2").end("a", "0.5").end("b", "0.7")
    )
    assert log.finish("b", "0.7", "a", "b").found() == ["I9"]


def test_I9_no_optimum_though_there_are_values() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").end("a", "0.5")
    log.patch("experiments", "e", status={"succeededTrialList": ["a"]})
    assert log.found() == ["I9"]


def test_I9_the_optimum_has_another_value_than_its_trial() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").end("a", "0.5")
    optimum = {"bestTrialName": "a", "observation": observed("0.4")}
    log.patch("experiments", "e", status={"succeededTrialList": ["a"], "currentOptimalTrial": optimum})
    assert log.found() == ["I9"]


def test_I9_a_trial_that_the_status_does_not_list_yet_does_not_count() -> None:
    log = (
        Story().begin().suggest(a="1", b="2").trial("a", "1").trial("b", "2").end("a", "0.5").end("b", "0.3")
    )
    optimum = {"bestTrialName": "a", "observation": observed("0.5")}
    log.patch("experiments", "e", status={"succeededTrialList": ["a"], "currentOptimalTrial": optimum})
    assert log.found() == []


def test_I10_an_object_is_deleted_more_often_than_without_faults() -> None:
    (reference,) = Story().run().judge().shapes
    assert Story().run().found(reference=reference) == []
    log = Story().begin().suggest(a="1", b="2").trial("a", "1").job("a").trial("b", "2").job("b")
    log.end("a", "0.5").end("b", "0.7")
    log.delete("jobs", "a")
    log.finish("a", "0.5", "a", "b")
    (broken,) = log.judge(reference=reference).violations
    assert broken.invariant == "I10"
    assert "jobs.batch delete: 1 objects 1×; without faults 2 objects 1×" in broken.text


def test_the_command_tells_each_violation_and_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_text("".join(Story().run().lines))
    bad.write_text("".join(Story().begin().suggest(a="1").trial("z", "1").lines))
    assert invariants.main([str(good)]) == 0
    assert invariants.main([str(bad)]) == 1
    told = capsys.readouterr().out
    assert (
        "I2 trials.kubeflow.org ns/z: a Trial was made that no stored assignment asks for (at 2027-" in told
    )
    assert "request-3)" in told
    assert invariants.main([str(bad), "--reference", str(good)]) == 1
    assert invariants.main([str(tmp_path / "none.log")]) == 2


def test_a_log_without_bodies_is_not_called_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "empty.log"
    log.write_text("")
    assert invariants.main([str(log)]) == 2
    assert "no Experiment" in capsys.readouterr().err
