"""``docs/reference/flags.md``: the command line of kfx and of each of its commands."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hack.generate import markdown
from kfx.cli import COMMANDS
from kfx.config import FLAGS
from kfx.flags import Flag, show_value

ROOT = Path(__file__).resolve().parents[2]


def render() -> str:
    """The page's text."""
    intro = (
        "One or two dashes; `--flag=value` or `--flag value`; a switch as `--flag` or `--flag=false`. Flags "
        "may also stand in the variable `KFX_FLAGS`, as one string; those on the command line win."
    )
    rows = ((f"`--{flag.name}`", flag.type, default_of(flag), flag.help) for flag in FLAGS)
    own = markdown.table(("flag", "type", "default", "meaning"), rows)
    source = "`kfx.config.FLAGS` and what each command prints for `-h`"
    return markdown.page("Flags", source, intro, "## kfx", own, *_commands())


def default_of(flag: Flag) -> str:
    """What counts without the flag, ``""`` for nothing."""
    return "" if flag.default in ("", (), None) else f"`{show_value(flag.default)}`"


def _commands() -> Iterator[str]:
    for name, about in COMMANDS.items():
        usage = _help_of(name)
        if usage.startswith("Usage"):
            yield f"## kfx {name}"
            yield f"{about[:1].upper()}{about[1:]}."
            yield f"```text\n{usage.expandtabs(4).rstrip()}\n```"


def _help_of(command: str) -> str:
    """In a process without environment, which defaults may come from."""
    words = [sys.executable, "-m", "kfx", command, "-h"]
    return subprocess.run(words, cwd=ROOT, env={}, capture_output=True, text=True, check=True).stdout
