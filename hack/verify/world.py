"""What there is at each moment of a log: the objects that hang on Experiments, as far as checks ask."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hack.verify.audit import Write
from hack.verify.facts import ExperimentFacts, SuggestionFacts, TrialFacts, read_facts

EXPERIMENTS = "experiments.kubeflow.org"
SUGGESTIONS = "suggestions.kubeflow.org"
TRIALS = "trials.kubeflow.org"
REMEMBERED = 50_000  # objects that are gone, for late answers; creations that may have been accepted
AGENT = "kfx/"


def is_of_kfx(write: Write) -> bool:
    """Whether kfx sent it, judged by the User-Agent."""
    return write.agent.startswith(AGENT)


@dataclass(slots=True)
class Thing:
    """One object. ``owner``: the uid of its controller; ``root``: that of the Experiment it hangs on."""

    uid: str
    resource: str
    namespace: str
    name: str
    owner: str = ""
    owner_kind: str = ""
    root: str = ""
    version: int = 0
    deleting: bool = False
    deleted_by_kfx: bool = False
    facts: ExperimentFacts | SuggestionFacts | TrialFacts | None = None

    def __str__(self) -> str:
        return f"{self.resource} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Change:
    """A write and what it did: ``before`` is None for a new object, ``after`` for one that is gone."""

    write: Write
    before: Thing | None
    after: Thing | None

    @property
    def thing(self) -> Thing:
        found = self.after or self.before
        if found is None:
            raise ValueError(f"request {self.write.id} changed nothing")
        return found

    @property
    def is_new(self) -> bool:
        return self.before is None and self.write.verb == "create"


@dataclass(slots=True)
class Tree:
    """An Experiment with what hangs on it; kept until nothing of it is left.

    Times are the API server's. ``lowered``: when somebody last asked for less. ``asked``: for anything.
    ``foreign``: when somebody but kfx last wrote an object of it. ``ended``, ``gone``: 0.0 while it is not.
    """

    experiment: Thing
    things: dict[str, Thing] = field(default_factory=dict)
    lowered: float = 0.0
    asked: float = 0.0
    foreign: float = 0.0
    ended: float = 0.0
    gone: float = 0.0

    @property
    def facts(self) -> ExperimentFacts:
        found = self.experiment.facts
        return found if isinstance(found, ExperimentFacts) else ExperimentFacts()

    @property
    def uid(self) -> str:
        return self.experiment.uid

    def of(self, resource: str) -> Iterator[Thing]:
        return (thing for thing in self.things.values() if thing.resource == resource)


class World:
    """Applies writes in the order in which they were stored."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.trees: dict[str, Tree] = {}
        self.now = 0.0
        self._names: dict[tuple[str, str, str], str] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._unsure: OrderedDict[tuple[str, str, str], Write] = OrderedDict()

    def recall(self, write: Write) -> Write | None:
        """The creation of this write's object, if nobody could say that it was accepted; it was, then."""
        place = (write.resource, write.namespace, write.name)
        if not write.certain:
            self._unsure[place] = write
            if len(self._unsure) > REMEMBERED:
                self._unsure.popitem(last=False)
            return None
        made = self._unsure.pop(place, None)
        if made is None or write.verb == "create" or write.uid in self.things or not write.document:
            return None
        return replace(made, uid=write.uid, document=write.document, version=write.version - 1)

    def apply(self, write: Write) -> Change | None:
        """None for what hangs on no Experiment, and for what may not have happened."""
        self.now = max(self.now, write.answered)
        place = (write.resource, write.namespace, write.name)
        uid = write.uid or self._names.get(place, "")
        if not uid or uid in self._gone:
            return None
        known = self.things.get(uid)
        if write.verb != "delete" and not write.document:
            return None
        thing = known or self._meet(write, uid)
        if thing is None:
            return None
        if write.verb == "create" and self._names.get(place, uid) != uid:
            self._lose(self.things[self._names[place]])  # its end is told later than its successor
        self._names[place] = uid
        before = _copy(thing) if known else None
        self._update(thing, write)
        self._follow(thing, before, write)
        is_gone = not write.version
        if is_gone:
            self._lose(thing)
        return Change(write, before, None if is_gone else thing)

    def forget(self, tree: Tree) -> None:
        """Nobody asks for it any more."""
        for thing in list(tree.things.values()):
            self._lose(thing)
        self.trees.pop(tree.uid, None)

    def tree_of(self, thing: Thing) -> Tree | None:
        return self.trees.get(thing.root)

    def _meet(self, write: Write, uid: str) -> Thing | None:
        """An object seen for the first time, if it belongs to an Experiment or is one."""
        thing = Thing(uid, write.resource, write.namespace, write.name)
        if write.resource == EXPERIMENTS:
            thing.root = uid
            self.trees[uid] = Tree(thing, asked=write.answered)
        else:
            owner = _controller(write.document)
            thing.owner, thing.owner_kind = owner.get("uid", ""), owner.get("kind", "")
            above = self.things.get(thing.owner)
            if above is None or above.root not in self.trees:
                return None
            thing.root = above.root
            self.trees[thing.root].things[uid] = thing
        self.things[uid] = thing
        return thing

    def _update(self, thing: Thing, write: Write) -> None:
        if write.verb == "delete":
            thing.deleted_by_kfx = is_of_kfx(write)
        thing.version = write.version or thing.version
        if write.document:
            thing.deleting = bool(write.document["metadata"].get("deletionTimestamp"))
            thing.facts = read_facts(thing.resource, write.document) or thing.facts

    def _follow(self, thing: Thing, before: Thing | None, write: Write) -> None:
        tree = self.trees.get(thing.root)
        if tree is None:
            return
        if not is_of_kfx(write):
            tree.foreign = max(tree.foreign, write.answered)
        if thing is not tree.experiment or not isinstance(thing.facts, ExperimentFacts):
            return
        if before is not None and isinstance(before.facts, ExperimentFacts):
            if before.facts.limits != thing.facts.limits:
                tree.asked = write.answered
            if thing.facts.asks_for_less(before.facts):
                tree.lowered = write.answered
        if not thing.facts.terminal:
            tree.ended = 0.0
        elif not tree.ended:
            tree.ended = write.answered

    def _lose(self, thing: Thing) -> None:
        self.things.pop(thing.uid, None)
        place = (thing.resource, thing.namespace, thing.name)
        if self._names.get(place) == thing.uid:
            del self._names[place]
        self._gone[thing.uid] = None
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)
        tree = self.trees.get(thing.root)
        if tree is None:
            return
        tree.things.pop(thing.uid, None)
        if thing is tree.experiment:
            tree.gone = self.now


def _copy(thing: Thing) -> Thing:
    return Thing(**{name: getattr(thing, name) for name in Thing.__slots__})


def _controller(document: Mapping[str, Any]) -> Mapping[str, Any]:
    references = document.get("metadata", {}).get("ownerReferences") or ()
    return next((each for each in references if each.get("controller")), {})
