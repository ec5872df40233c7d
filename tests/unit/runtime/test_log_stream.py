"""Log lines whose reader is slow, stopped or gone, and a disk that is full."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kfx.runtime.log_stream import PATIENCE, LogStream

LINE = b"a line\n"


@dataclass
class Pipe:
    """One that holds 16 KiB. ``stream`` writes into it."""

    reader: int
    stream: LogStream

    def fill(self) -> None:
        while self.stream.write(LINE * 100):
            pass

    def drain(self) -> bytes:
        os.set_blocking(self.reader, False)
        found = b""
        try:
            while more := os.read(self.reader, 1 << 16):
                found += more
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
    yield Pipe(reader, LogStream(writer))
    os.close(writer)
    os.close(reader)


def dropped_by(stream: LogStream, *lines: bytes) -> int:
    before = LogStream.dropped
    for line in lines:
        stream.write(line)
    return LogStream.dropped - before


def test_a_line_is_there_at_once(pipe: Pipe) -> None:
    assert dropped_by(pipe.stream, LINE, LINE) == 0
    assert pipe.drain() == LINE + LINE


def test_a_reader_that_stopped_costs_a_moment_once_and_then_nothing(pipe: Pipe) -> None:
    pipe.fill()
    began = time.monotonic()
    assert dropped_by(pipe.stream, *[LINE] * 1000) == 1000
    assert time.monotonic() - began < 5 * PATIENCE


def test_when_the_reader_goes_on_so_do_the_lines(pipe: Pipe) -> None:
    pipe.fill()
    assert dropped_by(pipe.stream, LINE) == 1
    pipe.drain()
    assert dropped_by(pipe.stream, b"whole\n") == 0
    assert pipe.drain() == b"whole\n"


def test_a_line_that_was_cut_off_is_ended_before_the_next(pipe: Pipe) -> None:
    assert dropped_by(pipe.stream, b"x" * 30_000 + b"\n", b"y" * 30_000 + b"\n") == 2
    assert set(pipe.drain()) == {ord("x")}
    pipe.stream.write(b"whole\n")
    assert pipe.drain() == b"\nwhole\n"


def test_a_reader_that_is_only_slow_gets_everything(pipe: Pipe) -> None:
    lines = [b"%d " % number + b"z" * 5000 + b"\n" for number in range(20)]
    found = b""

    def read() -> None:
        nonlocal found
        while not found.endswith(lines[-1]):
            time.sleep(PATIENCE / 20)
            found += os.read(pipe.reader, 4096)

    reading = threading.Thread(target=read)
    reading.start()
    dropped = dropped_by(pipe.stream, *lines)
    reading.join(20)
    assert (dropped, found) == (0, b"".join(lines))


def test_a_reader_that_has_left_makes_nothing_fail() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert dropped_by(LogStream(writer), LINE, LINE) == 2
    os.close(writer)


def test_a_full_disk_makes_nothing_fail() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    assert dropped_by(LogStream(full), LINE) == 1
    os.close(full)
