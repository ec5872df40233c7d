"""Questions to a cluster, from the command line to an exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kfx.cli import main
from tests.nowhere import KUBECONFIG


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """A kubeconfig that leads to nobody."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return str(tmp_path / "kubeconfig")


@pytest.mark.parametrize("words", [["get", "pods"], ["describe", "trial"], ["explain"]])
def test_a_question_that_makes_no_sense_is_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert f"usage: kfx {words[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["get", "trials"], ["describe", "trial", "t"]])
def test_a_question_to_nobody_is_status_1_and_one_line(words: list[str], nowhere: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kfx", *words, "--kubeconfig", nowhere],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("kubeconfig", ["", "/nope"])
def test_an_api_server_that_is_away_is_the_first_broken_link(nowhere: str, kubeconfig: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kfx", "explain", "e", "-o", "json", "--kubeconfig", kubeconfig or nowhere],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    found = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert (found["healthy"], found["link"]) == (False, "api-server")
    assert found["remedy"]
    assert ("/nope" if kubeconfig else "127.0.0.1:1") in found["problem"]
