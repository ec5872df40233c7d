"""``docs/reference/flags.md`` knows every flag of every command."""

import pytest

from hack.generate import flags
from kfx.collector.arguments import usage
from kfx.config import FLAGS
from kfx.flags import Flag, parse_text

pytestmark = pytest.mark.real_time


def test_every_flag_is_on_the_page_with_its_meaning() -> None:
    rows = [line.split(" | ") for line in flags.render().splitlines() if line.startswith("| `--")]
    assert [(row[0].strip("| `"), row[-1].removesuffix(" |")) for row in rows] == [
        (f"--{flag.name}", flag.help) for flag in FLAGS
    ]


def test_a_command_is_there_with_what_it_says_of_itself_and_one_without_flags_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KATIB_CORE_NAMESPACE", "of-this-machine")
    text = flags.render()
    assert usage().expandtabs(4).rstrip() in text
    assert "kfx version" not in text
    assert "of-this-machine" not in text


@pytest.mark.parametrize(
    ("default", "shown"),
    [("", ""), ((), ""), (False, "`false`"), (0.0, "`0s`"), (90.0, "`90s`"), (("a", "b"), "`a,b`")],
)
def test_a_default_is_shown_as_a_person_would_write_it(default: object, shown: str) -> None:
    assert flags.default_of(Flag("a", "text", default, "", parse_text)) == shown
