"""Processes are found again by pid and start time, and never taken for others."""

import contextlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster.api import wait_until
from hack.cluster.process import (
    BOOT_ID,
    Process,
    children,
    identify,
    kill,
    marked,
    parse_stat,
    recorded,
    start,
    wait_for_exit,
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "records" / "sleeper"


def begin(record: Path, *command: str) -> Process:
    return start(record, command or ("sleep", "60"), log=record.parent.parent / "logs" / "sleeper.log")


def test_a_started_process_is_found_by_its_record(record: Path) -> None:
    process = begin(record)
    try:
        assert recorded(record) == process == identify(process.pid)
        assert marked(record.parent) == [process]
    finally:
        kill(process)
    assert recorded(record) is None
    assert marked(record.parent) == []


def test_it_has_a_session_of_its_own_and_no_input(record: Path) -> None:
    process = begin(record)
    try:
        assert os.getsid(process.pid) == process.pid
        assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path("/dev/null")
    finally:
        kill(process)


def test_its_output_is_logged(record: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "sleeper.log"
    process = begin(record, "sh", "-c", "echo out; echo err >&2; exec sleep 60")
    try:
        wait_until(lambda: log.read_text() == "out\nerr\n", what="output", timeout=10)
    finally:
        kill(process)


def test_a_program_that_does_not_exist_leaves_a_reason(record: Path, tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError):
        wait_for_exit(begin(record, "/no/such/program"))
    assert "/no/such/program" in (tmp_path / "logs" / "sleeper.log").read_text()


def test_another_process_with_the_same_pid_is_left_alone(record: Path) -> None:
    process = begin(record)
    try:
        kill(replace(process, start_time=process.start_time - 1))
        assert identify(process.pid) == process
    finally:
        kill(process)
    kill(process)


@pytest.mark.parametrize("spoilt", ["", "\n", "another-boot\n{stat}"])
def test_a_record_of_another_boot_or_half_written_means_nobody(record: Path, spoilt: str) -> None:
    process = begin(record)
    try:
        record.write_text(spoilt.format(stat=Path(f"/proc/{process.pid}/stat").read_text()))
        assert recorded(record) is None
        record.write_text(BOOT_ID.read_text() + Path(f"/proc/{process.pid}/stat").read_text())
        assert recorded(record) == process
    finally:
        kill(process)


def test_a_zombie_counts_as_gone() -> None:
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert identify(ended.pid) is None


def test_children_are_named_by_their_program(record: Path) -> None:
    process = begin(record, "sh", "-c", "sleep 60 & sleep 61")
    try:
        # each bears the shell's name until it has become another program
        wait_until(
            lambda: list(children(process).values()) == ["sleep", "sleep"], what="two children", timeout=10
        )
    finally:
        for child in marked(record.parent):
            kill(child)


def test_waiting_for_what_does_not_end_has_a_limit(record: Path) -> None:
    process = begin(record)
    try:
        with pytest.raises(TimeoutError, match=str(process.pid)):
            wait_for_exit(process, timeout=0)
    finally:
        kill(process)


def test_a_name_with_spaces_and_brackets_does_not_mislead() -> None:
    fields = "S 7 1 1 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 4242 1000"
    assert parse_stat(f"55 (a) b (c)) {fields}") == (Process(55, 4242), "S", 7)
