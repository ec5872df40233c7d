import asyncio
from typing import ClassVar

import pytest

from kfx.kube.model import KubeObject, ObjectMeta
from kfx.kube.resource import Resource
from kfx.runtime.expectations import BELIEVED_FOR, Expectations


class Thing(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = Resource("example.com", "v1", "things", "Thing")


def thing(version, name="t", namespace="ns"):
    meta = ObjectMeta(name=name, namespace=namespace, resource_version=version)
    return Thing(metadata=meta)


@pytest.mark.parametrize(("read", "stale"), [("9", True), ("10", False), ("11", False), ("100", False)])
async def test_only_an_older_version_is_stale(read, stale):
    expectations = Expectations()
    expectations.expect(thing("5"), "10")
    assert expectations.is_stale(thing(read)) is stale


async def test_objects_are_told_apart():
    expectations = Expectations()
    expectations.expect(thing("5"), "10")
    assert not expectations.is_stale(thing("5", name="other"))
    assert not expectations.is_stale(thing("5", namespace="other"))


async def test_what_was_seen_is_not_remembered():
    expectations = Expectations()
    expectations.expect(thing("5"), "10")
    expectations.is_stale(thing("9"))
    assert len(expectations) == 1
    expectations.is_stale(thing("10"))
    assert len(expectations) == 0


async def test_what_is_gone_is_not_remembered():
    expectations = Expectations()
    expectations.expect(thing("5"), "10")
    expectations.forget(thing("5"))
    expectations.forget(thing("5"))
    assert len(expectations) == 0


async def test_a_version_that_never_comes_is_waited_for_a_minute_only():
    expectations = Expectations()
    expectations.expect(thing("5"), "10")
    await asyncio.sleep(BELIEVED_FOR - 1)
    assert expectations.is_stale(thing("5"))
    await asyncio.sleep(1)
    assert not expectations.is_stale(thing("5"))


async def test_memory_is_that_of_the_last_minute():
    expectations = Expectations()
    for number in range(300):
        expectations.expect(thing("5", name=str(number)), "10")
        await asyncio.sleep(1)
    expectations.is_stale(thing("5", name="any"))
    assert len(expectations) == BELIEVED_FOR - 1


@pytest.mark.parametrize(("read", "written"), [("abc", "10"), ("5", "abc"), ("5", ""), ("", "10")])
async def test_versions_that_are_no_numbers_count_as_up_to_date(read, written):
    expectations = Expectations()
    expectations.expect(thing("5"), written)
    assert not expectations.is_stale(thing(read))


async def test_what_was_deleted_is_on_its_way_out_for_a_minute():
    expectations = Expectations()
    expectations.expect_gone("u1")
    await asyncio.sleep(BELIEVED_FOR - 1)
    assert expectations.is_going("u1")
    assert not expectations.is_going("u2")
    await asyncio.sleep(1)
    assert not expectations.is_going("u1")
