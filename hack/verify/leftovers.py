"""I8: what an Experiment leaves behind."""

from collections.abc import Iterable

from hack.verify.audit import Write
from hack.verify.check import Limits, PerTree, Violation
from hack.verify.world import Change, Tree, World


class NothingLeft(PerTree):
    """I8. Everything that hung on a deleted Experiment goes, whatever its kind."""

    invariant = "I8"
    says = "nothing is left of a deleted Experiment"

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self.done: list[Tree] = []
        """Deleted and judged; whoever drives the checks forgets them."""

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        del write, change
        return self._judge(world)

    def end(self, world: World) -> Iterable[Violation]:
        return self._judge(world)

    def undecided(self, world: World) -> int:
        """How many deleted Experiments the log ends too early for."""
        return sum(bool(tree.gone and tree.things) for tree in world.trees.values())

    def _judge(self, world: World) -> Iterable[Violation]:
        for tree in [tree for tree in world.trees.values() if tree.gone]:
            if tree.things and world.now - tree.gone <= self._limits.leak:
                continue
            self.judged += 1
            if tree.things:
                names = ", ".join(sorted(map(str, tree.things.values()))[:5])
                text = f"{len(tree.things)} objects are left {self._limits.leak:.0f} s after its end: {names}"
                yield self.left(world, tree.experiment, text)
            self.done.append(tree)
