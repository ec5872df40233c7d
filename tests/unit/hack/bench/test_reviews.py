"""What the webhooks benchmark sends, and that kfx answers it out of its caches."""

from hack.bench.load import Load
from hack.bench.operators.webhooks import handlers
from hack.bench.reviews import BODY_SIZE, pod_review
from hack.bench.webhooks import loads
from kfx.runtime.admission import Allowed
from kfx.runtime.review import decode_review


async def paths_of_patch(load: Load) -> list[str]:
    """Any read past the caches would raise."""
    (handler,) = [each for each in handlers() if each.path == load.path]
    verdict = await handler.handle(decode_review(load.body).request)
    assert isinstance(verdict, Allowed)
    return [operation["path"] for operation in verdict.patch or ()]


def test_a_pods_review_has_the_size_that_the_note_names() -> None:
    assert len(pod_review()) == BODY_SIZE


async def test_each_webhook_does_all_its_work_on_what_is_sent() -> None:
    named = {name: load for name, (_, load) in loads(1.0).items()}
    pod = await paths_of_patch(named["mutator"])
    assert {"/spec/initContainers", "/spec/containers/0/command", "/spec/containers/0/args"} <= set(pod)
    assert "/spec/resumePolicy" in await paths_of_patch(named["defaulter"])
    assert await paths_of_patch(named["validator"]) == []
