"""The bounds are those of the document, though only its bytes are looked at."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.runtime.json_bounds import DEEPEST, ExcessiveJson, check_json

texts = st.text('[]{},"\\:ab\n', max_size=8)
documents = st.recursive(
    st.one_of(st.none(), st.integers(-9, 9), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=30,
)


def values_in(document: object) -> int:
    """One for each list and object, and one for each further element and member."""
    inner = list(document.values()) if isinstance(document, dict) else document
    if not isinstance(inner, list):
        return 0
    return 1 + max(0, len(inner) - 1) + sum(map(values_in, inner))


@given(st.lists(documents))
def test_values_are_counted_in_the_bytes_as_in_the_document(document: list[object]) -> None:
    text = json.dumps(document).encode()
    count = values_in(json.loads(text))
    check_json(text, most_values=count)
    with pytest.raises(ExcessiveJson, match="values"):
        check_json(text, most_values=count - 1)


@pytest.mark.parametrize("text", [b"1", b'"9223372036854775807,"', b"-1", b"1e30", b"12345678"])
def test_a_text_without_a_long_number_needs_no_look_at_its_numbers(text: bytes) -> None:
    assert check_json(text, most_values=10) == (b"9223372036854775807" in text)


def test_a_level_more_is_too_deep() -> None:
    check_json(b"[" * DEEPEST + b"]" * DEEPEST, most_values=1000)
    with pytest.raises(ExcessiveJson, match="nested more than 100 levels deep"):
        check_json(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), most_values=1000)
