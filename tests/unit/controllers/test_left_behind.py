"""Trials whose rows are left in an external store outlive the process, where the API server keeps them."""

import pytest

from kfx.controllers import left_behind
from kfx.controllers.left_behind import LeftBehind
from kfx.kube.errors import ApiError, Forbidden, NotFound
from kfx.runtime.reconcile import Request
from tests.unit.controllers.kept import Kept, refusal

A, B = Request("ns", "e-1"), Request("other", "e.2")


async def test_what_one_process_has_left_the_next_one_recalls() -> None:
    kept = Kept()
    first = LeftBehind(kept, "kubeflow")
    assert await first.add(A)
    assert await first.add(B)
    assert await first.add(A)
    assert (kept.keys, kept.writes) == (["ns.e-1", "other.e.2"], 2)
    second = LeftBehind(kept, "kubeflow")
    await second.recall()
    assert second.some(10) == [A, B]
    await second.drop([A, Request("ns", "never-heard-of")])
    assert (kept.keys, second.some(10)) == (["other.e.2"], [B])


async def test_it_is_read_once_and_what_was_dropped_does_not_come_back() -> None:
    kept = Kept()
    left = LeftBehind(kept, "kubeflow")
    await left.add(A)
    await left.drop([A])
    await left.recall()
    assert (len(left), kept.keys) == (0, [])


@pytest.mark.parametrize(
    "refused",
    [
        {"create": refusal(Forbidden, 403)},
        {"create": refusal(NotFound, 404)},
        {"get": refusal(Forbidden, 403), "patch": refusal(Forbidden, 403)},
    ],
    ids=["create", "no namespace", "all"],
)
async def test_without_the_right_to_it_is_remembered_until_the_process_ends(
    refused: dict[str, ApiError],
) -> None:
    left = LeftBehind(Kept(**refused), "kubeflow")
    assert not await left.add(A)
    assert left.some(10) == [A]
    await left.drop([A])
    assert len(left) == 0


async def test_a_server_that_fails_is_tried_again_before_the_trial_goes() -> None:
    left = LeftBehind(Kept(patch=refusal(ApiError, 500)), "kubeflow")
    with pytest.raises(ApiError):
        await left.add(A)
    assert len(left) == 0


async def test_there_is_an_end_to_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_behind, "MOST", 1)
    kept = Kept()
    left = LeftBehind(kept, "kubeflow")
    assert await left.add(A)
    assert not await left.add(B)
    assert (left.some(10), kept.keys) == ([A], ["ns.e-1"])


async def test_a_name_too_long_for_a_key_is_kept_in_memory_only() -> None:
    kept = Kept()
    assert not await LeftBehind(kept, "kubeflow").add(Request("ns", "x" * 253))
    assert kept.keys == []
