"""I1 to I4: how many objects are made."""

from collections.abc import Iterable
from dataclasses import dataclass

from hack.verify.audit import Write
from hack.verify.check import Limits, PerTree, Violation
from hack.verify.facts import ExperimentFacts, Point, SuggestionFacts, TrialFacts
from hack.verify.world import SUGGESTIONS, TRIALS, Change, Thing, Tree, World, is_of_kfx

MAX_TRIALS_REACHED = "ExperimentMaxTrialsReached"


class OneJob(PerTree):
    """I1. A job that somebody else deletes may be made again."""

    invariant = "I1"
    says = "one Job for each Trial"

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, tuple[str, str]] = {}  # uid of the trial → uid of its job, request

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        if change is None:
            return
        thing = change.thing
        if write.resource == TRIALS and change.after is None:
            self._made.pop(thing.uid, None)
        if thing.owner_kind != "Trial":
            return
        if write.verb == "delete" and not is_of_kfx(write):
            if self._made.get(thing.owner, ("", ""))[0] == thing.uid:
                del self._made[thing.owner]
        elif change.is_new and is_of_kfx(write):
            self.judged += 1
            if before := self._made.get(thing.owner):
                yield self.broken(write, "a second job was made for one Trial", before[1])
            self._made[thing.owner] = thing.uid, write.id


@dataclass(slots=True)
class _Assigned:
    point: Point
    since: float
    request: str


@dataclass(slots=True)
class _Made:
    request: str
    uid: str
    ended: bool = False


class OneTrial(PerTree):
    """I2. A stored assignment stays as it is, until its trial has ended or the user asks for less."""

    invariant = "I2"
    says = "one Trial for each assignment, and no assignment lost"

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._assigned: dict[str, dict[str, _Assigned]] = {}
        self._made: dict[str, dict[str, _Made]] = {}

    def forget(self, root: str) -> None:
        self._assigned.pop(root, None)
        self._made.pop(root, None)

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        tree = world.tree_of(change.thing) if change is not None else None
        if change is None or tree is None:
            return
        if write.resource == TRIALS:
            yield from self._see_trial(write, change, tree)
        elif write.resource == SUGGESTIONS and change.after is not None:
            yield from self._see_suggestion(write, change.after, tree)

    def _see_trial(self, write: Write, change: Change, tree: Tree) -> Iterable[Violation]:
        thing, made = change.thing, self._made.setdefault(tree.uid, {})
        if isinstance(thing.facts, TrialFacts) and thing.facts.terminal and thing.name in made:
            made[thing.name].ended = True
        if change.after is None and (not thing.deleted_by_kfx or tree.lowered):
            made.pop(thing.name, None)
        if not (change.is_new and is_of_kfx(write) and isinstance(thing.facts, TrialFacts)):
            return
        self.judged += 1
        if before := made.get(thing.name):
            yield self.broken(write, "an assignment got a second Trial", before.request)
        made[thing.name] = _Made(write.id, thing.uid)
        assigned = self._assigned.get(tree.uid, {}).get(thing.name)
        if assigned is None:
            yield self.broken(write, "a Trial was made that no stored assignment asks for")
        elif assigned.point != thing.facts.point:
            yield self.broken(write, "a Trial has other parameters than its assignment", assigned.request)

    def _see_suggestion(self, write: Write, thing: Thing, tree: Tree) -> Iterable[Violation]:
        if not isinstance(thing.facts, SuggestionFacts):
            return
        known, points = self._assigned.setdefault(tree.uid, {}), thing.facts.points
        for name, point in points.items():
            before = known.setdefault(name, _Assigned(point, write.answered, write.id))
            if before.point != point:
                yield self.broken(write, f"assignment {name} was changed after it was stored", before.request)
        for name in [name for name in known if name not in points]:
            made = self._made.get(tree.uid, {}).get(name)
            before = known.pop(name)
            if not (tree.lowered or (made is not None and made.ended)):
                yield self.broken(write, f"assignment {name} was lost", before.request)

    def end(self, world: World) -> Iterable[Violation]:
        for tree in world.trees.values():
            excused = tree.ended or tree.gone or tree.lowered or tree.experiment.deleting
            made = self._made.get(tree.uid, {})
            for name, assigned in self._assigned.get(tree.uid, {}).items():
                if not excused and name not in made and world.now - assigned.since > self._limits.pending:
                    text = f"assignment {name} never got its Trial"
                    yield self.left(world, tree.experiment, text, assigned.request)


class Parallel(PerTree):
    """I3, at every version of anything that hangs on the Experiment."""

    invariant = "I3"
    says = "no more live Trials than parallelTrialCount"

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._above: set[str] = set()

    def forget(self, root: str) -> None:
        self._above.discard(root)

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        tree = world.tree_of(change.thing) if change is not None else None
        if tree is None:
            return
        self.judged += 1
        live = sum(_is_live(thing) for thing in tree.of(TRIALS))
        patient = tree.lowered and write.answered - tree.lowered <= self._limits.lowered
        if live <= tree.facts.parallel:
            self._above.discard(tree.uid)
        elif not patient and tree.uid not in self._above:
            self._above.add(tree.uid)
            text = f"{live} live Trials, parallelTrialCount is {tree.facts.parallel}"
            yield self.broken(write, text, of=tree.experiment)


class Most(PerTree):
    """I4. A trial that somebody else deletes, or that goes because the user asks for less, does not count."""

    invariant = "I4"
    says = "no more Trials than maxTrialCount, and that many at success"

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, set[str]] = {}

    def forget(self, root: str) -> None:
        self._made.pop(root, None)

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        tree = world.tree_of(change.thing) if change is not None else None
        if change is None or tree is None:
            return
        thing, made, most = change.thing, self._made.setdefault(tree.uid, set()), tree.facts.most
        if write.resource == TRIALS:
            if change.after is None and (not thing.deleted_by_kfx or tree.lowered):
                made.discard(thing.uid)
            if change.is_new:
                made.add(thing.uid)
                self.judged += 1
                if most is not None and len(made) > most:
                    text = f"Trial number {len(made)} was made, maxTrialCount is {most}"
                    yield self.broken(write, text, of=tree.experiment)
        elif thing.uid == tree.uid and _succeeds_now(change) and tree.facts.reason == MAX_TRIALS_REACHED:
            self.judged += 1
            if len(made) != most:
                text = f"succeeded by {MAX_TRIALS_REACHED} with {len(made)} Trials of {most}"
                yield self.broken(write, text)


def _is_live(thing: Thing) -> bool:
    ended = isinstance(thing.facts, TrialFacts) and thing.facts.terminal
    return not ended and not thing.deleting


def _succeeds_now(change: Change) -> bool:
    before = change.before.facts if change.before is not None else None
    after = change.after.facts if change.after is not None else None
    was = before.terminal if isinstance(before, ExperimentFacts) else frozenset[str]()
    return isinstance(after, ExperimentFacts) and "Succeeded" in after.terminal - was
