"""Objects as servers write them, and as they should not be."""

import json
from typing import ClassVar

import pytest

from kfx.kube.decode import Undecodable, decoder_for, read_head, strict, unstructured_decoder_for
from kfx.kube.model import Condition, KubeObject, Model, ObjectMeta
from kfx.kube.resource import Resource

THINGS = Resource("example.org", "v1", "things", "Thing")


class Spec(Model, kw_only=True):
    size: int = 1
    labels: dict[str, str] | None = None


class Thing(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = THINGS
    spec: Spec = Spec()


def text(**members: object) -> bytes:
    metadata = {"name": "n", "namespace": "ns", "resourceVersion": "5"}
    return json.dumps({"metadata": metadata, **members}).encode()


def test_unknown_members_are_left_out():
    assert decoder_for(Thing)(text(spec={"size": 3, "colour": "red"}, status={})).spec == Spec(size=3)


def test_null_counts_as_absent():
    assert decoder_for(Thing)(text(spec={"size": None, "labels": {"a": None, "b": "c"}})).spec == Spec(
        labels={"b": "c"}
    )


def test_an_undecodable_object_is_named_with_its_field():
    with pytest.raises(Undecodable, match=r"Thing ns/n cannot be read: .*spec\.size") as caught:
        decoder_for(Thing)(text(spec={"size": "big"}))
    found = caught.value.stand_in
    assert (found.key, found.metadata.resource_version) == (("ns", "n"), "5")


def test_what_can_be_read_of_an_undecodable_object_stands_in_for_it():
    said = {"type": "Ready", "status": "True"}
    metadata = {"name": "n", "uid": "u", "finalizers": ["f"], "labels": 1, "generation": "one"}
    document = {"metadata": metadata, "spec": 1, "status": {"conditions": [said], "count": "x"}}
    with pytest.raises(Undecodable) as caught:
        decoder_for(Thing)(json.dumps(document).encode())
    found = caught.value.stand_in
    assert found.resource == THINGS
    assert found.metadata == ObjectMeta(name="n", uid="u", finalizers=("f",))
    assert found.status.conditions == (Condition(type="Ready", status="True"),)


def test_conditions_that_are_none_do_not_hide_the_metadata():
    with pytest.raises(Undecodable) as caught:
        decoder_for(Thing)(text(spec=1, status=[1]))
    assert caught.value.stand_in.status.conditions == ()
    assert caught.value.stand_in.metadata.name == "n"


def test_an_object_nested_too_deeply_is_undecodable_and_still_named():
    deep = text()[:-1] + b',"spec":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"
    for decode in (decoder_for(Thing), unstructured_decoder_for(THINGS)):
        with pytest.raises(Undecodable, match="Thing ns/n cannot be read: it is nested too deeply"):
            decode(deep)
    with pytest.raises(Undecodable) as caught:
        decoder_for(Thing)(deep)
    assert caught.value.stand_in.key == ("ns", "n")


@pytest.mark.parametrize("raw", [b"7", b"{}", b'{"metadata":7}', b'{"metadata":{"name":7}}', b"{{"])
def test_an_object_without_readable_metadata_has_an_empty_head(raw):
    assert read_head(raw).name == ""
    for decode in (decoder_for(Thing), unstructured_decoder_for(THINGS)):
        with pytest.raises(Undecodable, match=r"Thing \(no name\)"):
            decode(raw)


def test_an_unstructured_object_keeps_all_but_managed_fields():
    raw = json.dumps(
        {
            "kind": "Thing",
            "metadata": {"name": "n", "managedFields": [{}], "extra": 1},
            "spec": {"x": [1, None]},
        }
    ).encode()
    found = unstructured_decoder_for(THINGS)(raw)
    assert found.document() == {
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "n", "extra": 1},
        "spec": {"x": [1, None]},
    }
    assert (found.api_version, found.kind, found.metadata.name) == ("example.org/v1", "Thing", "n")


def test_an_unstructured_object_forgives_null_metadata_members():
    found = unstructured_decoder_for(THINGS)(
        b'{"metadata":{"name":"n","generation":null,"labels":{"a":"b"}}}'
    )
    assert found.metadata.labels == {"a": "b"}


def test_an_unstructured_object_is_named_by_its_kind():
    assert str(unstructured_decoder_for(THINGS)(text())) == "Thing ns/n"


def item(head="", **metadata):
    found = {"name": "n", "namespace": "ns", "uid": "u", "resourceVersion": "5", **metadata}
    members = ",".join(part for part in (head, f'"metadata":{json.dumps(found)}') if part)
    return f"{{{members}}}".encode()


@pytest.mark.parametrize(
    "head",
    [
        "",
        '"kind":"Thing","apiVersion":"example.org/v1"',
        '"apiVersion":"example.org/v1","kind":"Thing"',
        '"apiVersion": "example.org/v1", "kind": "Thing"',
        '"spec":{"size":2},"kind":"Thing"',
    ],
)
@pytest.mark.parametrize("decode", [decoder_for(Thing), unstructured_decoder_for(THINGS)])
def test_an_object_of_its_own_kind_is_taken_however_it_is_written(decode, head):
    found = strict(decode, THINGS, kind="Thing", api_version="example.org/v1")(item(head))
    assert found.metadata.name == "n"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (item('"kind":"Gadget","apiVersion":"example.org/v1"'), "it is a Gadget of example.org/v1"),
        (item('"kind":"Thing","apiVersion":"example.org/v2"'), "it is a Thing of example.org/v2"),
        (item('"kind":"ThingList","apiVersion":"example.org/v1"'), "it is a ThingList"),
        (item(name=""), "it has no name or no namespace"),
        (item(namespace=None), "it has no name or no namespace"),
    ],
)
@pytest.mark.parametrize("decode", [decoder_for(Thing), unstructured_decoder_for(THINGS)])
def test_an_object_that_has_no_place_in_the_collection_leaves_nothing_behind(decode, raw, problem):
    with pytest.raises(Undecodable, match=problem) as caught:
        strict(decode, THINGS, kind="Thing", api_version="example.org/v1")(raw)
    assert caught.value.stand_in.metadata == ObjectMeta()


def test_an_object_without_uid_is_refused_by_its_name():
    with pytest.raises(Undecodable, match="Thing ns/n cannot be read: it has no uid") as caught:
        strict(decoder_for(Thing), THINGS, kind="Thing", api_version="example.org/v1")(item(uid=""))
    assert caught.value.stand_in.metadata.name == "n"
