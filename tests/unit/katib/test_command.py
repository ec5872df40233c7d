"""The wrapped command, run by a real shell."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kfx.katib.command import CommandError, quote_word, wrap_command

DIRECTORY = "/var/log/katib"


def expand(text: str) -> str:
    """What the kubelet makes of an argument: ``$$`` is ``$``, a reference to nothing stays as it is."""
    return re.sub(r"\$\$|\$\([^)]*\)", lambda match: "$" if match[0] == "$$" else match[0], text)


class Run:
    """One wrapped command that has ended."""

    def __init__(
        self,
        command: list[str],
        args: list[str],
        folder: Path,
        *,
        stoppable: bool = False,
        image: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        wrapped = wrap_command(
            command,
            args,
            image=image,
            directory=str(folder),
            output=f"{folder}/metrics.log",
            stoppable=stoppable,
        )
        words = [*map(expand, wrapped.command), expand(wrapped.script)]
        self.process = subprocess.run(words, check=False, capture_output=True, cwd=folder, text=True)

    @property
    def output(self) -> str:
        return (self._folder / "metrics.log").read_text()

    @property
    def markers(self) -> list[str]:
        return [path.read_text().strip() for path in self._folder.glob("*.pid")]


@pytest.mark.parametrize(
    ("command", "args", "output"),
    [
        (["echo", "a"], ["b"], "a b\n"),
        (
            ["printf", "%s|"],
            ["a b", "c;d", "*", "'", '{"x": [1]}', "", "a&b"],
            'a b|c;d|*|\'|{"x": [1]}||a&b|',
        ),
        (["sh", "-c", "echo a; echo b"], [], "a\nb\n"),
        (["sh", "-c", "echo a\necho b\n"], [], "a\nb\n"),
        (["sh", "-c", "echo a | tr a b"], [], "b\n"),
        (["sh", "-c", "echo a # done"], [], "a\n"),
        (["sh", "-c", "cat <<END\nx\nEND\n"], [], "x\n"),
        (["/bin/sh", "-c", "echo a && echo b"], [], "a\nb\n"),
        (["/bin/sh", "-ec"], ["echo a\necho b >&2"], "a\nb\n"),
        (["sh", "-c", "exec echo a"], [], "a\n"),
        (["sh", "-c", "echo a; exit 0"], [], "a\n"),
        (["sh", "-c", "trap 'echo bye' EXIT; echo a"], [], "a\nbye\n"),
        (["sh", "-c", "echo"], ["a", "b"], "a b\n"),
        (["sh", "-c", "echo 'it is'"], [], "it is\n"),
        (["echo one two"], [], "one two\n"),
        (["sh", "-c", "echo a \\\n"], [], "a\n"),
    ],
)
def test_all_output_goes_to_the_file_and_the_end_is_marked(
    command: list[str], args: list[str], output: str, tmp_path: Path
) -> None:
    """K9: and nowhere else."""
    run = Run(command, args, tmp_path)
    assert (run.process.returncode, run.process.stderr) == (0, "")
    assert (run.output, run.markers) == (output, ["completed"])


@pytest.mark.parametrize(
    "script",
    [
        ["false"],
        ["sh", "-c", "false"],
        ["sh", "-c", "echo a; false"],
        ["sh", "-c", "set -e; false; echo a"],
        ["sh", "-c", "set -o errexit\nfalse\necho a"],
        ["sh", "-ec", "false; echo a"],
        ["sh", "-e", "-c", "false; echo a"],
        ["sh", "-c", "exit 3"],
    ],
)
@pytest.mark.parametrize("stoppable", [False, True])
def test_a_failure_leaves_no_marker(script: list[str], stoppable: bool, tmp_path: Path) -> None:
    run = Run(script, [], tmp_path, stoppable=stoppable)
    assert run.process.returncode != 0
    assert run.markers == []


def test_an_early_stop_counts_as_completed(tmp_path: Path) -> None:
    stop = f'echo early-stopped > {tmp_path}/"$PPID".pid; exit 143'
    run = Run(["env", "sh", "-c", stop], [], tmp_path, stoppable=True)
    assert run.process.returncode == 0
    assert run.process.stdout == "Training Container was Early Stopped\n"
    assert run.markers == ["completed"]


def test_a_script_is_one_child_of_its_shell(tmp_path: Path) -> None:
    run = Run(["sh", "-c", 'echo $$$$; python3 -c "import os; print(os.getppid())"'], [], tmp_path)
    shell, parent = run.output.split()
    assert shell == parent


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("--lr=0.1", "--lr=0.1"),
        ("$HOME/data", "$HOME/data"),
        ("--dir=${HOME}/x", "--dir=${HOME}/x"),
        ("--x=\"{'a': 1}\"", "--x=\"{'a': 1}\""),
        ("'a b'", "'a b'"),
        ("", "''"),
        ("a b", "'a b'"),
        ('{"a":1}', "'{\"a\":1}'"),
        ("$(VAR)", "'$(VAR)'"),
        ("it's", "'it'\"'\"'s'"),
        ('"a" "b"', '\'"a" "b"\''),
        ("*.csv", "'*.csv'"),
    ],
)
def test_only_a_word_that_the_shell_would_break_is_quoted(word: str, quoted: str) -> None:
    assert quote_word(word) == quoted


PLAIN = "python main.py 1>metric.log 2>&1 && echo completed > $$$$.pid"
STOPPABLE = (
    "python main.py 1>metric.log 2>&1 || if test -f $$$$.pid && [ $(head -n 1 $$.pid) = early-stopped ]; "
    "then echo Training Container was Early Stopped; else echo Training Container was Failed; exit 1; fi "
    "&& echo completed > $$$$.pid"
)


@pytest.mark.parametrize(
    ("command", "stoppable", "script"),
    [
        pytest.param(["python main.py"], False, PLAIN, id="8.7.1"),
        pytest.param(["sh", "-c", "python main.py"], False, PLAIN, id="8.7.2"),
        pytest.param(["python main.py"], True, STOPPABLE, id="8.7.4"),
    ],
)
def test_a_command_is_wrapped_to_katibs_letter(command: list[str], stoppable: bool, script: str) -> None:
    wrapped = wrap_command(command, [], directory=".", output="metric.log", stoppable=stoppable)
    assert (wrapped.command, wrapped.script) == (("sh", "-c"), script)


@pytest.mark.parametrize(
    ("image", "args", "output"),
    [
        (["printf", "%s|"], ["a b", "$HOME"], "a b|/home|"),
        (
            ["printf", "%s|", "a b", "$HOME", "$(X)", "$$", '"q"', "it's", ""],
            [],
            'a b|$HOME|$(X)|$$|"q"|it\'s||',
        ),
        (["sh", "-c", "printf '%s|' $HOME $(echo b)"], [], "/home|b|"),
    ],
)
def test_an_images_words_arrive_as_without_a_shell_and_its_scripts_as_they_are(
    image: list[str], args: list[str], output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home")
    run = Run([], args, tmp_path, image=image)
    assert (run.process.returncode, run.output, run.markers) == (0, output, ["completed"])


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/bash", "-c", "x"],
        ["bash", "-lc", "x"],
        ["bash", "--login", "-c", "x"],
        ["bash", "-euo", "pipefail", "-c", "x"],
    ],
)
def test_a_shell_keeps_its_options(command: list[str]) -> None:
    wrapped = wrap_command(command, [], directory=DIRECTORY)
    assert wrapped.command == tuple(command[:-1])
    assert wrapped.script == "x && echo completed > /var/log/katib/$$$$.pid"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ([], "neither it nor its image has a command"),
        (["sh"], "sh alone has nothing to run"),
        (["/bin/bash"], "/bin/bash alone has nothing to run"),
        (["sh", "-c"], "sh -c is followed by no script"),
        (["bash", "-c", " \n"], "bash -c is followed by no script"),
    ],
)
def test_a_command_that_runs_nothing_is_an_error(command: list[str], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        wrap_command(command, [], directory=DIRECTORY)
