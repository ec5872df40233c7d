"""Wire types: written as Kubernetes writes them, never changed in place."""

from typing import ClassVar

import msgspec
import pytest

from kfx.kube.decode import unstructured_decoder_for
from kfx.kube.model import (
    Condition,
    KubeObject,
    Model,
    ObjectMeta,
    OwnerReference,
    PartialObjectMetadata,
    to_builtins,
)
from kfx.kube.resource import Resource

THINGS = Resource("example.org", "v1", "things", "Thing")
JOB = OwnerReference(api_version="batch/v1", kind="Job", name="j", uid="u1", controller=True)
SET = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="r", uid="u2")


class Spec(Model, kw_only=True):
    max_size: int = 1
    parts: tuple[str, ...] = ()


class Thing(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = THINGS
    spec: Spec = Spec()


def test_names_are_written_in_camel_case() -> None:
    assert to_builtins(JOB) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "j",
        "uid": "u1",
        "controller": True,
    }


def test_what_is_at_its_default_is_not_written() -> None:
    assert to_builtins(Condition(type="Running", status="True")) == {"type": "Running", "status": "True"}
    assert to_builtins(Thing(metadata=ObjectMeta(name="a"))) == {"metadata": {"name": "a"}}


def test_false_and_empty_text_differ_from_absence() -> None:
    said = OwnerReference(api_version="v1", kind="Pod", name="p", uid="u", block_owner_deletion=False)
    assert to_builtins(said)["blockOwnerDeletion"] is False
    assert "controller" not in to_builtins(said)
    assert to_builtins(ObjectMeta(deletion_timestamp="")) == {"deletionTimestamp": ""}


def test_what_was_written_is_read_back_the_same() -> None:
    meta = ObjectMeta(
        name="a",
        namespace="ns",
        generation=3,
        labels={"a": "b"},
        owner_references=(JOB, SET),
        finalizers=("x/y",),
    )
    thing = Thing(metadata=meta, spec=Spec(max_size=7, parts=("p",)))
    assert msgspec.json.decode(msgspec.json.encode(thing), type=Thing) == thing
    assert msgspec.convert(to_builtins(thing), Thing) == thing


@pytest.mark.parametrize("value", [JOB, Spec(), ObjectMeta(name="a"), Thing(metadata=ObjectMeta())])
def test_a_value_is_never_changed_in_place(value: Model) -> None:
    field = value.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(value, field, getattr(value, field))


def test_fields_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        Spec(3)  # type: ignore[misc]


def test_the_controller_is_the_owner_that_says_so() -> None:
    assert ObjectMeta(owner_references=(SET, JOB)).controller is JOB
    assert ObjectMeta(owner_references=(SET,)).controller is None
    assert ObjectMeta().controller is None


def test_a_label_that_is_absent_reads_as_empty() -> None:
    assert ObjectMeta(labels={"a": "b"}).label("a") == "b"
    assert ObjectMeta(labels={"a": "b"}).label("c") == ""
    assert ObjectMeta().label("a") == ""


def test_an_object_is_known_by_namespace_and_name() -> None:
    thing = Thing(metadata=ObjectMeta(name="a", namespace="ns"))
    assert (thing.key, str(thing)) == (("ns", "a"), "Thing ns/a")
    assert str(PartialObjectMetadata(metadata=thing.metadata)) == "ns/a"


def test_a_document_may_be_changed_by_who_asked_for_it() -> None:
    found = unstructured_decoder_for(THINGS)(b'{"metadata":{"name":"a"},"spec":{"size":1}}')
    first = found.document()
    first["spec"]["size"] = 2
    assert found.document()["spec"] == {"size": 1}


def test_a_required_field_must_be_there() -> None:
    with pytest.raises(msgspec.ValidationError, match="uid"):
        msgspec.json.decode(b'{"apiVersion":"v1","kind":"Pod","name":"p"}', type=OwnerReference)
