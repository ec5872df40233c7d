"""I5, I7, I9: what statuses say, and when they stop changing."""

from collections.abc import Iterable

from hack.verify.audit import Write
from hack.verify.check import Limits, PerTree, Violation
from hack.verify.facts import ExperimentFacts, SuggestionFacts, TrialFacts, is_better
from hack.verify.world import EXPERIMENTS, TRIALS, Change, Tree, World, is_of_kfx

EARLY_STOPPED, METRICS_UNAVAILABLE = "EarlyStopped", "MetricsUnavailable"


class Terminal(PerTree):
    """I5. An Experiment, and its Suggestion with it, may go on after the user has asked for more."""

    invariant = "I5"
    says = "what has ended stays as it ended"

    def __init__(self) -> None:
        super().__init__()
        self._ended: dict[str, tuple[float, str]] = {}

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        if change is None:
            return
        thing = change.thing
        before = _terminal(change.before.facts) if change.before is not None else frozenset[str]()
        if change.after is None:
            self._ended.pop(thing.uid, None)
            return
        after = _terminal(change.after.facts)
        if after and not before:
            self._ended[thing.uid] = write.answered, write.id
        self.judged += bool(before or after)
        if not before or not is_of_kfx(write):
            return
        at, request = self._ended.get(thing.uid, (0.0, ""))
        tree = world.tree_of(thing)
        if write.resource != TRIALS and not after and tree is not None and tree.asked > at:
            return
        if not _may_follow(before, after):
            text = f"had ended as {_words(before)} and is now {_words(after)}"
            yield self.broken(write, text, request)


class Rest(PerTree):
    """I7. Every write changes something, and there is none once an Experiment has come to rest."""

    invariant = "I7"
    says = "no write without effect, none after the end"

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        tree = world.tree_of(change.thing) if change is not None else None
        if change is None or tree is None or not is_of_kfx(write):
            return
        self.judged += 1
        before = change.before
        if before is not None and write.version == before.version:
            yield self.broken(write, "a write that changed nothing")
        settled = max(tree.ended, tree.foreign, tree.asked) + self._limits.settle
        if tree.ended and write.answered > settled:
            late = write.answered - settled + self._limits.settle
            text = f"written {late:.0f} s after the Experiment's end and the last change by anybody else"
            yield self.broken(write, text)

    def end(self, world: World) -> Iterable[Violation]:
        if not self._limits.all_ended:
            return
        for tree in world.trees.values():
            if not tree.ended and not tree.gone and not tree.experiment.deleting:
                yield self.left(world, tree.experiment, "has not ended with the log")


class Optimum(PerTree):
    """I9, over the trials that the same status calls succeeded or stopped early."""

    invariant = "I9"
    says = "currentOptimalTrial is the best of those listed"

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        tree = world.tree_of(change.thing) if change is not None else None
        if tree is None or write.resource != EXPERIMENTS or write.subresource != "status":
            return
        if write.verb == "delete" or not is_of_kfx(write):
            return
        values = _values(tree)
        listed = {name: values[name] for name in tree.facts.done if name in values}
        if listed:
            self.judged += 1
            yield from self._judge(write, tree.facts, listed, values)

    def _judge(
        self, write: Write, facts: ExperimentFacts, listed: dict[str, float], values: dict[str, float]
    ) -> Iterable[Violation]:
        best = (min if facts.objective == "minimize" else max)(listed.values())
        stated = facts.optimal_value
        if stated is None or is_better(best, stated, facts.objective):
            yield self.broken(write, f"optimum {facts.optimal!r} has {stated}, the best listed is {best}")
        elif stated != values.get(facts.optimal, stated):
            found = values[facts.optimal]
            yield self.broken(write, f"optimum {facts.optimal!r} is given {stated}, its Trial has {found}")


def _terminal(facts: object) -> frozenset[str]:
    return (
        facts.terminal if isinstance(facts, ExperimentFacts | SuggestionFacts | TrialFacts) else frozenset()
    )


def _may_follow(before: frozenset[str], after: frozenset[str]) -> bool:
    """Metrics may turn out to be missing after an early stop."""
    allowed = {before, before | {METRICS_UNAVAILABLE}} if EARLY_STOPPED in before else {before}
    return after in allowed


def _words(terminal: frozenset[str]) -> str:
    return " and ".join(sorted(terminal)) or "not ended"


def _values(tree: Tree) -> dict[str, float]:
    return {
        thing.name: thing.facts.value
        for thing in tree.of(TRIALS)
        if isinstance(thing.facts, TrialFacts) and thing.facts.value is not None
    }
