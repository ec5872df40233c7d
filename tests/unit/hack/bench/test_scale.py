"""The experiments that are measured: valid, so that a refusal is not what is timed."""

import pytest

from hack.bench.operators.finisher import completed
from hack.bench.scale import SCENARIOS, Progress, Scenario, experiment
from kfx.algorithms import ALGORITHMS
from kfx.config import TRIAL_RESOURCES
from kfx.katib.experiment_document import decode_experiment
from kfx.katib.job_state import Phase, evaluate
from kfx.katib.katib_config import EMPTY_CONFIG, with_built_ins
from kfx.katib.validation import ValidationContext, validate_experiment


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_experiment_is_one_that_the_webhook_admits(name: str) -> None:
    document = experiment(SCENARIOS[name], 0)
    config = with_built_ins(EMPTY_CONFIG, collector_image="kfx")
    context = ValidationContext(algorithms=tuple(ALGORITHMS), config=config, trial_resources=TRIAL_RESOURCES)
    assert validate_experiment(decode_experiment(document), None, context).errors == []


def test_a_finished_job_meets_the_success_condition() -> None:
    template = experiment(SCENARIOS["main"], 0)["spec"]["trialTemplate"]
    document = {"status": completed("2026-01-01T00:00:00Z")}
    state = evaluate(template["successCondition"], template["failureCondition"], document)
    assert state.phase is Phase.SUCCEEDED


async def test_half_of_the_trials_is_half_of_all_experiments() -> None:
    progress = Progress()
    progress.ended = {"a": 1.0, "b": 2.0}
    await progress.wait_for(Scenario(2, 30, 30))
    assert progress.half_is == 30
