"""A look at an Experiment or a Suggestion takes the same steps, however many trials there are."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kfx.algorithms import ALGORITHMS
from kfx.apis.experiment import Experiment
from kfx.controllers.experiment import ExperimentReconciler
from kfx.controllers.suggestion import SuggestionReconciler
from kfx.controllers.templates import TemplateReader
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from tests.katib_objects import NOW, experiment, suggestion, trial
from tests.steps import counted
from tests.unit.controllers.parts import Live, Plans, images_of, store_of, tallies_of

KEY = Request("ns", "e")
PARALLEL = 10
FEW, MANY = 60, 600


class Bench:
    """An experiment with that many trials, of which all but :data:`PARALLEL` have ended."""

    def __init__(self, count: int) -> None:
        ended = [
            trial("Created", "Succeeded", name=f"e-{i:04}", age=i % 60, value=str(i))
            for i in range(count - PARALLEL)
        ]
        running = [trial("Created", "Running", name=f"e-run{i}", age=59) for i in range(PARALLEL)]
        self.experiments = store_of(experiment("Created", "Running", parallel=PARALLEL, most=9999))
        names = tuple(t.metadata.name for t in (*ended, *running))
        suggestions = store_of(suggestion("Created", "Running", requests=count, names=names))
        self.tallies, self.running, self.plans = tallies_of(*ended, *running), running, Plans()
        shared: dict[str, Any] = {
            "experiments": self.experiments,
            "suggestions": suggestions,
            "trials": self.tallies,
            "writer": self.plans,
            "now": lambda: NOW,
        }
        templates = TemplateReader(client=Live(), core_namespace="kubeflow")
        self.experiment = ExperimentReconciler(templates=templates, **shared)
        self.suggestion = SuggestionReconciler(algorithms=ALGORITHMS, images=images_of(), **shared)

    async def settle(self) -> None:
        await self.experiment.reconcile(KEY)
        of = self.experiments.get(KEY)
        text = msgspec.json.encode(self.plans.last.status)
        status = msgspec.json.decode(text, type=type(of.status))  # other strings than the tally's
        self.experiments.put(Experiment(metadata=of.metadata, spec=of.spec, status=status))

    async def one_ends(self) -> None:
        last = self.running[-1]
        self.tallies.requests(Event(last, trial("Created", "Succeeded", name=last.metadata.name, value="1")))
        await self.experiment.reconcile(KEY)

    async def rest(self) -> None:
        await self.experiment.reconcile(KEY)

    async def look_at_suggestion(self) -> None:
        await self.suggestion.reconcile(KEY)


async def steps(bench: Bench, work: Callable[[], Awaitable[None]]) -> int:
    """Comparing equal names, which is not counted, takes almost no time."""
    await bench.settle()
    with counted() as found:
        await work()
    return found.count


@pytest.mark.parametrize("work", [Bench.rest, Bench.one_ends, Bench.look_at_suggestion])
async def test_ten_times_the_trials_take_no_step_more(work: Callable[[Bench], Awaitable[None]]) -> None:
    few, many = Bench(FEW), Bench(MANY)
    assert 0 < await steps(many, lambda: work(many)) <= await steps(few, lambda: work(few)) + 3
