"""One golden file for each way in which the chain breaks, or holds."""

import json

import pytest

from kfx.commands.explain import render
from kfx.katib.explanation import explain
from tests.explanation_cases import CASES, facts
from tests.golden_files import assert_golden


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of_each_state_of_the_chain(name: str) -> None:
    found = explain(CASES[name]())
    text = (
        "\n".join(render(found))
        + "\n\n"
        + json.dumps({**found.as_json(), "checked": len(found.checked)}, indent=1)
    )
    assert_golden(f"explanation/{name}.txt", f"{text}\n")


@pytest.mark.parametrize("name", CASES)
def test_a_broken_link_ends_the_walk_and_has_a_remedy(name: str) -> None:
    found = explain(CASES[name]())
    assert [check.link for check in found.checked if check.state == "broken"] == (
        [found.link] if not found.healthy else []
    )
    if found.broken is not None:
        assert found.checked[-1].link == found.link
        assert len(found.broken.remedy) > 5
        assert found.broken.object.kind
    assert len({check.link for check in found.checked}) == len(found.checked)


def test_every_link_is_broken_by_one_of_these_states() -> None:
    whole = [check.link for check in explain(facts()).checked]
    broken = {explain(case()).link for case in CASES.values()}
    assert broken - {""} == {*whole, "deletion"}
