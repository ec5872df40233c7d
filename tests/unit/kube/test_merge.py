"""Merge patches, judged by applying them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.kube.merge import merge_patch

leaves = st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=2)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abcd"), values)


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param({"a": 1}, {"a": 1}, {}, id="equal"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="changed"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"b": None}, id="gone"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}, id="nested"),
        pytest.param({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}, id="lists-are-replaced"),
        pytest.param({"a": True}, {"a": 1}, {"a": 1}, id="true-is-not-one"),
        pytest.param({"a": [True]}, {"a": [1]}, {"a": [1]}, id="true-is-not-one-in-a-list"),
        pytest.param({"a": 1}, {"a": 1.0}, {}, id="one-is-one"),
        pytest.param({"a": None}, {}, {}, id="null-is-absent-before"),
        pytest.param({"a": 1}, {"a": None}, {"a": None}, id="null-is-absent-after"),
        pytest.param({}, {"a": None}, {}, id="null-is-absent-in-both"),
        pytest.param({}, {"a": {}}, {"a": {}}, id="an-empty-object-arrives"),
        pytest.param({"a": (1,)}, {"a": [1]}, {}, id="tuples-are-lists"),
    ],
)
def test_the_patch_says_only_what_differs(old, new, patch):
    found = merge_patch(old, new)
    assert found == patch
    assert str(found) == str(patch)


@given(documents, documents)
def test_the_patch_turns_old_into_new(old, new):
    assert apply(old, merge_patch(old, new)) == new


@given(documents)
def test_a_document_does_not_differ_from_itself(document):
    assert merge_patch(document, document) == {}
