import math

import pytest

from kfx.katib.floats import parse_float


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("+1.5", 1.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("1_000", 1000.0),
        ("1_23.50_0_0e+1_2", 1.235e14),
        ("0x1p-2", 0.25),
        ("0X1.8P1", 3.0),
        ("0x_1p0", 1.0),
        ("inf", math.inf),
        ("+Inf", math.inf),
        ("-INFINITY", -math.inf),
        ("1e-400", 0.0),
    ],
)
def test_what_go_reads_is_read(text: str, value: float) -> None:
    assert parse_float(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN"])
def test_not_a_number_is_read(text: str) -> None:
    found = parse_float(text)
    assert found is not None
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " 1",
            "1 ",
            "1\n",
            "abc",
            ".",
            "e5",
            "1e",
            "+nan",
            "0x1",
            "0x",
            "--1",
            "1.2.3",
            "٣",
            "unavailable",
        ),
        *("_1", "1_", "1__0", "1_.5", "1._5", "1e_5", "1e5_", "1e400", "-1e400", "0x1p5000"),
    ],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    assert parse_float(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("1e400", math.inf), ("-1e400", -math.inf), ("0x1p5000", math.inf)]
)
def test_a_number_too_large_may_count_as_infinite(text: str, value: float) -> None:
    assert parse_float(text, clamp=True) == value


def test_a_text_longer_than_any_number_is_refused_unread() -> None:
    assert parse_float("1" * 4000 + "x") is None
    assert parse_float("1" * 4097) is None
