"""Flags read as Go reads them."""

import pytest

from kfx import flags
from kfx.config import parse_loopback_address
from kfx.flags import Flag, FlagError, HelpRequested, parse_duration, parse_flags

FLAGS = (
    Flag("inside", "address", "0", "a loopback address", parse_loopback_address),
    Flag("addr", "address", ":80", "an address", flags.parse_address),
    Flag("on", "bool", False, "a switch", flags.parse_bool),
    Flag("kind", "text", (), "kinds", flags.parse_text, repeated=True),
    Flag("port", "port", 1, "a port", flags.parse_port),
)


@pytest.mark.parametrize(
    ("argv", "given"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param(["--addr", ":1"], {"addr": ":1"}, id="two-dashes-and-space"),
        pytest.param(["-addr=:1"], {"addr": ":1"}, id="one-dash-and-equals"),
        pytest.param(["-addr=h:1"], {"addr": "h:1"}, id="host-and-port"),
        pytest.param(["-addr", "[::1]:1"], {"addr": "[::1]:1"}, id="ipv6"),
        pytest.param(["-addr", "0"], {"addr": "0"}, id="off"),
        pytest.param(["-inside", "0"], {"inside": "0"}, id="nothing-inside"),
        pytest.param(["--on"], {"on": True}, id="bare-switch"),
        pytest.param(["--on=false"], {"on": False}, id="switch-off"),
        pytest.param(["--on=T"], {"on": True}, id="go-true"),
        pytest.param(["-kind=a", "--kind", "b"], {"kind": ("a", "b")}, id="repeated"),
        pytest.param(["--addr=:1", "--addr=:2"], {"addr": ":2"}, id="last-wins"),
        pytest.param(["--on", "--"], {"on": True}, id="end-of-flags"),
    ],
)
def test_flags_are_read_as_go_reads_them(argv, given):
    assert parse_flags(FLAGS, argv) == given


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--nope"], "flag provided but not defined: -nope"),
        (["--addr"], "flag needs an argument: -addr"),
        (["---addr"], "bad flag syntax: ---addr"),
        (["-=1"], "bad flag syntax: -=1"),
        (["stray"], "unexpected argument 'stray': kfx takes flags only"),
        (
            ["--on", "false"],
            "unexpected argument 'false': write --on=false, a switch takes its value after =",
        ),
        (["--on", "stray"], "unexpected argument 'stray': kfx takes flags only"),
        (["--", "stray"], "unexpected argument 'stray': kfx takes flags only"),
        (["--on=maybe"], 'invalid value "maybe" for flag --on: expected true or false'),
        (["--addr=80"], 'invalid value "80" for flag --addr: expected host:port, :port, or "0" for off'),
        (
            ["--addr=::1:80"],
            'invalid value "::1:80" for flag --addr: expected host:port, :port, or "0" for off',
        ),
        (["--addr=:0"], 'invalid value ":0" for flag --addr: expected a port from 1 to 65535'),
        (
            ["--inside=:80"],
            'invalid value ":80" for flag --inside: expected a loopback address such as 127.0.0.1:6060 '
            'or [::1]:6060, or "0" for off',
        ),
        (
            ["--addr=a b:80"],
            'invalid value "a b:80" for flag --addr: expected a host without blanks before the port',
        ),
        (
            ["--addr=a/b:80"],
            'invalid value "a/b:80" for flag --addr: expected a host without blanks before the port',
        ),
        (["--port=a\nb"], 'invalid value "a\\nb" for flag --port: expected a port from 1 to 65535'),
        (['--port=a"b'], 'invalid value "a\\"b" for flag --port: expected a port from 1 to 65535'),
        (["--port=70000"], 'invalid value "70000" for flag --port: expected a port from 1 to 65535'),
        (["--port=-1"], 'invalid value "-1" for flag --port: expected a port from 1 to 65535'),
        (["--port="], 'invalid value "" for flag --port: expected a port from 1 to 65535'),
    ],
)
def test_what_cannot_be_read_is_named(argv, text):
    with pytest.raises(FlagError) as caught:
        parse_flags(FLAGS, argv)
    assert str(caught.value) == text


@pytest.mark.parametrize("word", ["-h", "--help", "-help"])
def test_help_can_be_asked_for(word):
    with pytest.raises(HelpRequested):
        parse_flags(FLAGS, [word])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90s", 90),
        ("1m30s", 90),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("100ms", 0.1),
        ("+2s", 2),
        ("1µs", 1e-6),
    ],
)
def test_durations_are_gos(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5x", "1d", "-1s", "1s ", "s", "1h2", "1e3s"])
def test_what_go_would_not_take_for_a_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected a duration such as 90s or 1m30s"):
        parse_duration(text)


def test_a_duration_that_go_cannot_hold_is_refused() -> None:
    assert parse_duration("2562047h") == 2562047 * 3600
    with pytest.raises(ValueError, match=r"^expected at most 2562047h"):
        parse_duration("2562048h")


def test_usage_names_every_flag_with_its_default():
    text = flags.usage("prog", FLAGS, commands={"sub": "does things"})
    assert "prog sub" in text
    for flag in FLAGS:
        assert f"--{flag.name} {flag.type}" in text
    assert "an address (default :80)" in text
    assert "a switch (default false)" in text


def test_usage_fits_a_terminal_and_keeps_a_default_together() -> None:
    long = Flag("long", "text", "a-word", "word " * 13 + "end", str)
    assert flags.usage("prog", (long,)).splitlines()[-2:] == [
        "        " + "word " * 13 + "end",
        "        (default a-word)",
    ]


def test_usage_shows_a_long_list_within_a_terminals_width() -> None:
    kinds = tuple(f"Kind{number}.v1.example.org" for number in range(6))
    shown = flags.usage("prog", (Flag("kind", "text", kinds, "kinds", str, repeated=True),))
    assert max(map(len, shown.splitlines())) <= 80
    assert all(kind in shown for kind in kinds)


def test_a_duration_of_any_length_is_judged_at_once() -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration("1" * 1_000_000)
