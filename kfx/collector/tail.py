"""Copies the metrics file to the collector's own output while it grows, for ``kubectl logs``."""

from pathlib import Path
from typing import BinaryIO

CHUNK = 64 * 1024


class Tail:
    """Follows one file from its start. It may not exist yet, and it may be cut short."""

    def __init__(self, path: Path, output: BinaryIO) -> None:
        self._path = path
        self._output = output
        self._position = 0

    def copy(self) -> None:
        """Writes what has been added since the last time."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._position:
                    self._position = 0
                file.seek(self._position)
                while chunk := file.read(CHUNK):
                    self._output.write(chunk)
                    self._position += len(chunk)
        except OSError:
            return  # not written yet; whether it ever was is settled at the end
        self._output.flush()
