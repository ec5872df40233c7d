"""The training container's command, wrapped so that the collector sees its output and its end.

Pure. The text after the command is Katib's to the letter, as its collectors look for it. Where Katib's text
would run something else than the user wrote (arguments with blanks, scripts of several commands, shells other
than ``sh``), the command before it is quoted or grouped.
"""

import posixpath
import re
import shlex
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_SAFE = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
"""What :func:`shlex.quote` leaves as it is."""
_EXPANSION = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})", re.ASCII)
_QUOTED = re.compile(r"(?:[-\w./]+=)?(?:\"(?:[^\"\\]|\\.)*\"|'[^']*')", re.ASCII | re.DOTALL)
_COMPOUND = re.compile(r"[;&|\n(){}#]|\\$")
_ABRUPT = re.compile(r"(?:^|[\s;&|({])(?:exec|exit|trap|set\s+(?:-\w+\s+)*-(?:\w*e|o\s+errexit))\b")


class CommandError(Exception):
    """The container has no command that could be wrapped; the message says what to write."""


class WrappedCommand(NamedTuple):
    """The container's new ``command``, and its one argument."""

    command: tuple[str, ...]
    script: str


def wrap_command(
    command: Sequence[str],
    args: Sequence[str],
    *,
    image: Sequence[str] = (),
    directory: str,
    output: str = "",
    stoppable: bool = False,
) -> WrappedCommand:
    """The command with redirect, early-stop clause and completion clause (Katib ``wrapWorkerContainer``).

    ``directory`` holds the marker file, ``output`` is the file that takes stdout and stderr (empty: they
    stay), ``stoppable``: the trial has early-stopping rules. ``image``: what the image puts before ``args``
    where there is no ``command``. Raises :class:`CommandError`.
    """
    if not (command or image or args):
        raise CommandError("neither it nor its image has a command; set command")
    if command:
        shell, body = _group([*command, *args], fixed=0)
    else:
        shell, body = _group([*map(_keep_dollars, image), *args], fixed=len(image))
    marker, seen_inside = _marker_files(directory)
    parts = [body]
    if output:
        parts.append(f"1>{output} 2>&1")
    if stoppable:
        parts.append(
            f"|| if test -f {marker} && [ $(head -n 1 {seen_inside}) = early-stopped ]; "
            "then echo Training Container was Early Stopped; "
            "else echo Training Container was Failed; exit 1; fi"
        )
    parts.append(f"&& echo completed > {marker}")
    return WrappedCommand(shell, " ".join(parts))


@lru_cache(maxsize=4)
def _marker_files(directory: str) -> tuple[str, str]:
    """As the pod's field has it, and as the shell started from there."""
    place = posixpath.normpath(directory)
    return posixpath.normpath(f"{place}/$$$$.pid"), posixpath.normpath(f"{place}/$$.pid")


def _keep_dollars(word: str) -> str:
    """An image's word in a pod's field, where the kubelet makes ``$`` of ``$$`` and expands ``$(NAME)``."""
    return word.replace("$", "$$")


def _group(words: Sequence[str], *, fixed: int) -> tuple[tuple[str, ...], str]:
    """The shell to start, and the words as one command of its language.

    The first ``fixed`` words are an image's: no shell would read them, so none shall see more than text.
    """
    split = _find_script(words)
    if split is None:
        if len(words) == 1 and _is_shell(words[0]):
            raise CommandError(f"{words[0]} alone has nothing to run; add -c and a script, or a file")
        if all(map(_SAFE.fullmatch, words)):
            return ("sh", "-c"), " ".join(words)
        return ("sh", "-c"), " ".join(
            shlex.quote(word) if at < fixed else quote_word(word) if at else word
            for at, word in enumerate(words)
        )
    shell, text = tuple(words[:split]), " ".join(words[split:])
    if not text.strip():
        raise CommandError(f"{' '.join(shell)} is followed by no script; add one")
    if _ABRUPT.search(text) or (_stops_at_errors(shell) and _COMPOUND.search(text)):
        # Only in a shell of its own does such a script end itself and not what stands behind it.
        return ("sh", "-c"), f"{shlex.join(shell)} {shlex.quote(text)}"
    if _COMPOUND.search(text.rstrip("\n")):
        return shell, f"{{ {text}\n}}"
    return shell, text.rstrip("\n")


def quote_word(word: str) -> str:
    """A word for the shell: itself where that is safe or was quoted by its author, else quoted.

    ``$NAME`` stays open to expansion, as it is in Katib.
    """
    if _SAFE.fullmatch(word):
        return word
    plain = _EXPANSION.sub("", word) if "$" in word else word
    if word and (_SAFE.fullmatch(plain or "x") or _QUOTED.fullmatch(word)):
        return word
    return shlex.quote(word)


def _find_script(words: Sequence[str]) -> int | None:
    """Where the script begins in ``sh [options] -c script …``; ``None`` for any other command."""
    if not _is_shell(words[0]):
        return None
    at = 1
    while at < len(words) and len(words[at]) > 1 and words[at][0] in "-+":
        option, at = words[at], at + 1
        if option.startswith("--"):
            continue
        if option[0] == "-" and "c" in option:
            return at
        at += "o" in option  # its name follows, as in -o pipefail
    return None


def _is_shell(word: str) -> bool:
    return posixpath.basename(word) in _SHELLS


def _stops_at_errors(shell: Sequence[str]) -> bool:
    """Whether the shell was told to end at the first failing command."""
    return "errexit" in shell or any(
        option.startswith("-") and not option.startswith("--") and "e" in option for option in shell[1:]
    )
