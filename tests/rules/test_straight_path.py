"""From the watch's line to the key in the queue nothing waits, so no event can overtake another."""

import inspect

import pytest

from kfx.runtime import handler, predicate
from kfx.runtime.informer import Informer
from kfx.runtime.source import Watch
from kfx.runtime.store import Store
from kfx.runtime.workqueue import WorkQueue

PATH = [
    Informer._apply,
    Store.put,
    Store.drop,
    Watch.offer,
    predicate.resource_version_changed,
    handler.EnqueueRequestForObject.requests,
    handler.EnqueueRequestForOwner.requests,
    handler.EnqueueRequestsFromMapFunc.requests,
    WorkQueue.add,
]


@pytest.mark.parametrize("step", PATH, ids=lambda step: step.__qualname__)
def test_a_step_of_the_path_does_not_wait(step: object) -> None:
    assert not inspect.iscoroutinefunction(step)
    assert not inspect.isasyncgenfunction(step)


def test_only_the_reader_and_the_worker_wait() -> None:
    assert inspect.iscoroutinefunction(Informer.follow)
    assert inspect.iscoroutinefunction(WorkQueue.get)
