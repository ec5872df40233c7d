"""The splitter that does not mind depth, judged by the decoder."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.kube.shallow import split_elements, split_members

texts = st.text(alphabet='ab"\\,:{}[] \n\u00e4', max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(alphabet="ab ", max_size=3), values, max_size=4), st.sampled_from([None, 1]))
def test_members_are_those_the_decoder_finds(document, indent):
    found = split_members(json.dumps(document, indent=indent).encode())
    assert {name: json.loads(text) for name, text in found.items()} == document


@given(st.lists(values, max_size=4), st.sampled_from([None, 1]))
def test_elements_are_those_the_decoder_finds(document, indent):
    found = split_elements(json.dumps(document, indent=indent).encode())
    assert [json.loads(text) for text in found] == document


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"1", b'{"a"}', b"{1:2}", b'{"a":1}}', b'{"a":[1}', b"null"]
)
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match=r"JSON|balanced"):
        split_members(text)


def test_depth_does_not_matter():
    deep = b"[" * 50_000 + b"]" * 50_000
    assert split_members(b'{"a":' + deep + b',"b":1}') == {"a": deep, "b": b"1"}
