import io
from pathlib import Path

from kfx.collector.tail import CHUNK, Tail


def test_what_is_added_is_copied_once(tmp_path: Path) -> None:
    path, output = tmp_path / "metrics.log", io.BytesIO()
    tail = Tail(path, output)
    tail.copy()
    with path.open("ab", buffering=0) as file:
        for piece in (b"epoch 1\nlo", b"ss=1\n", b""):
            file.write(piece)
            tail.copy()
    assert output.getvalue() == b"epoch 1\nloss=1\n"


def test_a_large_file_is_copied_whole(tmp_path: Path) -> None:
    path, output = tmp_path / "metrics.log", io.BytesIO()
    path.write_bytes(bytes(range(256)) * (CHUNK // 100))
    Tail(path, output).copy()
    assert output.getvalue() == path.read_bytes()


def test_a_file_cut_short_is_copied_from_its_new_start(tmp_path: Path) -> None:
    path, output = tmp_path / "metrics.log", io.BytesIO()
    tail = Tail(path, output)
    path.write_bytes(b"old and long\n")
    tail.copy()
    path.write_bytes(b"new\n")
    tail.copy()
    assert output.getvalue() == b"old and long\nnew\n"
