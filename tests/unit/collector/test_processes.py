from collections.abc import Callable
from pathlib import Path

import pytest

from kfx.collector.errors import CollectorError
from kfx.collector.processes import START_GRACE, ProcessTable, Training

OWN = 40


class Pod:
    """A ``/proc`` and a metrics folder; every sleep advances the clock and runs what is due."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.metrics = folder / "metrics"
        self.proc.mkdir()
        self.metrics.mkdir()
        (self.proc / "meminfo").write_text("")
        self.now = 0.0
        self.polls = 0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.start(1, "/pause")
        self.start(OWN, "kfx metrics-collector")

    @property
    def log(self) -> Path:
        return self.metrics / "metrics.log"

    def start(self, pid: int, command: str, *, parent: int = 0, name: str = "sh") -> None:
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} {pid} 0")
        (self.proc / str(pid) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")

    def train(self, pid: int = 7) -> None:
        self.start(pid, f"sh -c python train.py 1>{self.log} 2>&1 && echo completed > {self.metrics}/$$.pid")
        # The shell's command is one argument, with its blanks.
        text = f"sh\0-c\0python train.py 1>{self.log} 2>&1 && echo completed > {self.metrics}/$$.pid\0"
        (self.proc / str(pid) / "cmdline").write_text(text)

    def end(self, pid: int, marker: str | None = None) -> None:
        if marker is not None:
            (self.metrics / f"{pid}.pid").write_text(marker + "\n")
        for entry in (self.proc / str(pid)).iterdir():
            entry.unlink()
        (self.proc / str(pid)).rmdir()

    def at(self, time: float, action: Callable[[], None]) -> None:
        self.due.append((time, action))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.now]:
            self.due.remove(entry)
            entry[1]()
        assert self.now < 3_600, "waits for ever"

    def poll(self) -> None:
        self.polls += 1

    def wait(self, *, wait_all: bool = True, timeout: float = 0.0, terminated: float | None = None) -> float:
        """When the wait was over. ``terminated``: a native sidecar's, which hears SIGTERM then."""
        self.training(terminated).wait(wait_all=wait_all, timeout=timeout, on_poll=self.poll)
        return self.now

    def training(self, terminated: float | None = None) -> Training:
        return Training(
            ProcessTable(self.proc, own=OWN),
            self.log,
            poll_interval=1.0,
            sleep=self.sleep,
            clock=lambda: self.now,
            ending=None if terminated is None else lambda: self.now >= terminated,
        )


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_it_waits_until_the_training_has_written_its_marker(pod: Pod) -> None:
    pod.train()
    pod.at(30, lambda: pod.end(7, "completed"))
    assert pod.wait() == 30
    assert pod.polls == 31


def test_only_the_first_process_of_a_container_counts(pod: Pod) -> None:
    pod.train()
    pod.start(8, "python train.py", parent=7)
    pod.start(9, "data loader", parent=8, name="odd) S 0 (")
    pod.at(5, lambda: pod.end(7, "completed"))
    assert pod.wait() == 5


def test_the_training_is_known_by_its_command_line(pod: Pod) -> None:
    pod.start(5, "envoy")
    pod.train(7)
    pod.start(9, "logger")
    pod.at(5, lambda: pod.end(7, "completed"))
    assert pod.wait(wait_all=False) == 5


def test_the_other_containers_are_waited_for_too(pod: Pod) -> None:
    pod.train(7)
    pod.start(9, "logger")
    pod.at(5, lambda: pod.end(7, "completed"))
    pod.at(8, lambda: pod.end(9))
    assert pod.wait() == 8


def test_a_training_that_ended_before_the_collector_started_counts_by_its_marker(pod: Pod) -> None:
    pod.log.write_text("loss=1\n")
    pod.train(7)
    pod.end(7, "completed")
    assert pod.wait() == 0


def test_a_training_that_failed_before_the_collector_started_is_told_at_once(pod: Pod) -> None:
    pod.log.write_text("Traceback\n")
    with pytest.raises(CollectorError, match="ended before it could be watched and left no marker"):
        pod.wait()
    assert pod.now == 0


def test_a_training_whose_image_is_still_on_the_way_is_waited_for(pod: Pod) -> None:
    pod.at(6, pod.train)
    pod.at(20, lambda: pod.end(7, "completed"))
    assert pod.wait() == 20


def test_a_training_that_never_appears_is_told_after_a_while(pod: Pod) -> None:
    with pytest.raises(CollectorError, match=r"no training process is visible.*shareProcessNamespace"):
        pod.wait()
    assert pod.now == START_GRACE


def test_a_training_that_dies_without_marker_is_told(pod: Pod) -> None:
    pod.train()
    pod.at(3, lambda: pod.end(7))
    with pytest.raises(CollectorError, match=r"ended without writing .*/7\.pid: its command failed"):
        pod.wait()
    assert pod.now == 3


def test_the_marker_of_another_process_does_not_save_it(pod: Pod) -> None:
    pod.train(7)
    pod.at(3, lambda: pod.end(7))
    pod.at(2, lambda: (pod.metrics / "8.pid").write_text("completed") and None)
    with pytest.raises(CollectorError, match=r"7\.pid"):
        pod.wait()


def test_a_marker_that_says_something_else_is_quoted(pod: Pod) -> None:
    pod.train()
    pod.at(3, lambda: pod.end(7, "half way"))
    with pytest.raises(CollectorError, match="says 'half way': the training did not complete"):
        pod.wait()


def test_an_early_stopped_training_is_waited_for_until_its_shell_has_completed(pod: Pod) -> None:
    pod.train()
    pod.at(3, lambda: pod.end(7, "early-stopped"))
    pod.at(5, lambda: (pod.metrics / "7.pid").write_text("completed") and None)
    assert pod.wait() == 5


def test_an_unmarked_process_is_taken_for_the_training_only_when_nothing_better_came(pod: Pod) -> None:
    pod.start(7, "python train.py")
    pod.at(START_GRACE + 5, lambda: pod.end(7, "completed"))
    assert pod.wait() == START_GRACE + 5


def test_a_training_that_takes_too_long_ends_the_wait(pod: Pod) -> None:
    pod.train()
    with pytest.raises(CollectorError, match=r"did not end within 20 s \(-timeout\)"):
        pod.wait(timeout=20)
    assert pod.now == 20


def test_a_native_sidecar_waits_for_an_image_however_long_that_takes(pod: Pod) -> None:
    pod.at(600, pod.train)
    pod.at(700, lambda: pod.end(7, "completed"))
    assert pod.wait(terminated=1000) == 700


def test_a_native_sidecar_takes_no_other_sidecar_for_the_training(pod: Pod) -> None:
    pod.start(5, "envoy")
    pod.at(START_GRACE + 50, pod.train)
    pod.at(START_GRACE + 60, lambda: pod.end(7, "completed"))
    assert pod.wait(wait_all=False, terminated=1000) == START_GRACE + 60


def test_a_native_sidecar_stops_waiting_for_other_sidecars_when_it_is_told_of_the_end(pod: Pod) -> None:
    pod.start(5, "envoy")
    pod.train(7)
    pod.start(9, "logger")
    pod.at(20, lambda: pod.end(7, "completed"))
    pod.at(30, lambda: pod.end(9))
    assert pod.wait(terminated=31) == 31


def test_a_native_sidecar_does_not_give_up_a_training_that_runs_on_after_its_own_end_was_asked(
    pod: Pod,
) -> None:
    pod.train(7)
    pod.at(20, lambda: pod.end(7, "completed"))
    assert pod.wait(terminated=5) == 20


def test_a_native_sidecar_that_was_started_again_finds_the_marker(pod: Pod) -> None:
    pod.start(9, "logger")
    (pod.metrics / "7.pid").write_text("completed\n")
    assert pod.wait(wait_all=False, terminated=1000) == 0


def test_a_native_sidecar_tells_of_a_training_that_it_never_saw(pod: Pod) -> None:
    pod.log.write_text("Traceback\n")
    with pytest.raises(CollectorError, match="ended before it could be watched and left no marker"):
        pod.wait(terminated=50)
    assert pod.now == 50


def test_a_native_sidecar_sees_a_training_that_failed_start_again(pod: Pod) -> None:
    pod.train(7)
    pod.at(3, lambda: pod.end(7))
    pod.at(20, lambda: pod.train(8))
    pod.at(25, lambda: pod.end(8))
    pod.at(60, lambda: pod.train(9))
    pod.at(70, lambda: pod.end(9, "completed"))
    assert pod.wait(terminated=1000) == 70


def test_a_native_sidecar_counts_a_second_attempt_that_was_over_between_two_looks(pod: Pod) -> None:
    pod.train(7)
    pod.at(3, lambda: pod.end(7))
    pod.at(20, lambda: (pod.metrics / "8.pid").write_text("completed") and None)
    assert pod.wait(terminated=1000) == 21


def test_a_native_sidecar_tells_of_a_failed_training_when_it_hears_of_the_end(pod: Pod) -> None:
    pod.train(7)
    pod.at(3, lambda: pod.end(7))
    with pytest.raises(CollectorError, match=r"ended without writing .*/7\.pid: its command failed"):
        pod.wait(terminated=5)
    assert pod.now == 5


def test_a_native_sidecar_stays_until_the_end_as_it_would_be_started_again(pod: Pod) -> None:
    pod.training(terminated=40).stay()
    assert pod.now == 40
    pod.training().stay()
    assert pod.now == 40


def test_it_finds_itself_in_the_real_process_table() -> None:
    table = ProcessTable()
    assert table.alive(1)
    assert all(process.pid != 1 for process in table.roots())
