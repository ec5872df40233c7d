"""Where log lines leave the process: they are not waited for long, and cannot make anything fail.

Whoever reads the other end may be stopped, and the disk below it may be full. A blocked write would block the
event loop, and with it the renewal of the lease.
"""

import os
import select

PATIENCE = 0.1  # seconds for a reader that is only slow; from then on none, until it reads again
PIECE = select.PIPE_BUF  # what a pipe that has any room takes whole


class LogStream:
    """Writes lines to a file descriptor, and drops those that it does not take. ``dropped`` counts them."""

    dropped = 0
    """Of all streams of the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._stuck = False
        self._torn = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, line: bytes) -> int:
        """Write a line, or drop it; one that was cut off in its middle is ended before the next."""
        text = b"\n" + line if self._torn else line
        for start in range(0, len(text), PIECE):
            if not self._send(text[start : start + PIECE]):
                self._torn = self._torn or start > 0
                LogStream.dropped += 1
                return 0
        self._torn = False
        return len(line)

    def flush(self) -> None:
        """Nothing is held back."""

    def _send(self, piece: bytes) -> bool:
        self._stuck = not self._poll.poll(0 if self._stuck else PATIENCE * 1000)
        if self._stuck:
            return False
        try:
            return os.write(self._fd, piece) == len(piece)
        except OSError:
            return False
