"""Objects read from any text: what does not decode is counted, told once per version, and named."""

import json

import pytest
from structlog.testing import capture_logs

from kfx.kube.decode import Raw, decoder_for
from kfx.kube.model import Unreadable
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.object_reader import REMEMBERED_SKIPS, ObjectReader
from tests.things import Thing, raw, thing


class Reading:
    """A reader of Things and what came of it."""

    def __init__(self) -> None:
        self.metrics = RuntimeMetrics()
        self.reader = ObjectReader(decoder_for(Thing), self.metrics.informer("things"))

    @property
    def counted(self) -> float | None:
        name = "kfx_informer_undecodable_objects_total"
        return self.metrics.registry.get_sample_value(name, {"resource": "things"})

    def told(self, *texts: bytes) -> list[str]:
        """What is logged when these are read."""
        with capture_logs() as lines:
            for text in texts:
                self.reader.read(text)
        return [line["error"] for line in lines]


@pytest.fixture
def reading() -> Reading:
    return Reading()


def bad(name: str, version: int = 1, namespace: str = "ns") -> bytes:
    head = {"name": name, "namespace": namespace, "resourceVersion": str(version)}
    return json.dumps({"metadata": {**head, "labels": 1}}).encode()


def test_an_object_that_decodes_is_what_it_says(reading: Reading) -> None:
    assert reading.reader.read(raw("a", 7, group="x")) == thing("a", 7, group="x")
    assert (reading.counted, reading.told(raw("a", 7))) == (0, [])


def test_an_object_that_does_not_decode_is_named_all_the_same(reading: Reading) -> None:
    found = reading.reader.read(bad("a", 7))
    assert isinstance(found, Unreadable)
    assert (found.key, found.metadata.resource_version) == (("ns", "a"), "7")
    assert found.problem == "Expected `object | null`, got `int` - at `$.metadata.labels`"


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b'{"metadata":null}', b"{", b"[" * 5000])
def test_a_text_that_is_no_object_is_an_object_without_a_name(reading: Reading, text: bytes) -> None:
    found = reading.reader.read(text)
    assert isinstance(found, Unreadable)
    assert (found.key, found.metadata.resource_version) == (("", ""), "")
    assert reading.counted == 1


def test_every_look_counts_but_a_version_is_told_once(reading: Reading) -> None:
    (told,) = reading.told(bad("a"), bad("a"), raw("a", 2), bad("a"))
    assert "Thing ns/a cannot be read" in told
    assert reading.counted == 3


def test_another_version_or_object_is_told_anew(reading: Reading) -> None:
    assert len(reading.told(bad("a", 1), bad("a", 2), bad("b", 1), bad("a", 1, namespace="other"))) == 4


def test_what_was_told_is_remembered_within_bounds(reading: Reading) -> None:
    reading.told(*(bad("a", version) for version in range(REMEMBERED_SKIPS)))
    assert reading.told(bad("a", 0)) == []
    reading.told(bad("a", REMEMBERED_SKIPS))  # the oldest makes room
    assert reading.told(bad("a", 1)) == []
    assert len(reading.told(bad("a", 0))) == 1


def test_a_defect_of_the_decoder_is_no_unreadable_object() -> None:
    def decode(text: Raw) -> Thing:
        raise TypeError("a defect")

    reader = ObjectReader(decode, RuntimeMetrics().informer("things"))
    with pytest.raises(TypeError, match="a defect"):
        reader.read(raw("a", 1))
