import re

import pytest

from kfx.katib.names import (
    SUFFIX_ALPHABET,
    controller_reference,
    is_controlled_by,
    merge_labels,
    suffix,
    trial_name,
)
from tests.katib_objects import experiment, owner


def test_the_alphabet_is_that_of_kubernetes() -> None:
    assert SUFFIX_ALPHABET == "bcdfghjklmnpqrstvwxz2456789"


@pytest.mark.parametrize("randomness", [bytes(8), b"\xff" * 8, bytes(range(32))])
def test_a_suffix_has_eight_characters_of_the_alphabet(randomness: bytes) -> None:
    assert re.fullmatch(f"[{SUFFIX_ALPHABET}]{{8}}", suffix(randomness))


def test_a_trial_is_named_after_its_experiment_and_the_same_each_time() -> None:
    name = trial_name("e", seed="uid/1", index=0, taken=())
    assert re.fullmatch(f"e-[{SUFFIX_ALPHABET}]{{8}}", name)
    assert trial_name("e", seed="uid/1", index=0, taken=()) == name


def test_other_seeds_and_indexes_give_other_names() -> None:
    names = {
        trial_name("e", seed=seed, index=i, taken=()) for seed in ("a/1", "a/2", "b/1") for i in range(100)
    }
    assert len(names) == 300


def test_a_taken_name_is_avoided() -> None:
    first = trial_name("e", seed="uid/1", index=0, taken=())
    second = trial_name("e", seed="uid/1", index=0, taken={first})
    assert second != first


def test_the_controller_is_referred_to_as_katib_does() -> None:
    assert controller_reference(experiment()) == {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "name": "e",
        "uid": "e-uid",
        "controller": True,
        "blockOwnerDeletion": True,
    }


@pytest.mark.parametrize(("uid", "own"), [("e-uid", True), ("another", False)])
def test_a_namesake_is_no_owner(uid: str, own: bool) -> None:
    assert is_controlled_by(owner("Experiment", "e", uid)[0], experiment()) is own
    assert not is_controlled_by(None, experiment())


def test_later_labels_win() -> None:
    assert merge_labels({"a": "1", "b": "1"}, None, {"b": "2"}) == {"a": "1", "b": "2"}
