"""I10: how often each object is made and deleted, compared with a run without faults."""

from collections import Counter
from collections.abc import Iterable, Mapping

from hack.verify.audit import Write
from hack.verify.check import PerTree, Violation
from hack.verify.world import Change, Tree, World, is_of_kfx

Shape = Mapping[tuple[str, str], Mapping[int, int]]
"""By resource and verb: how many objects kfx made, or deleted, so many times."""


class SameCounts(PerTree):
    """I10, for Experiments that have ended. Judged only where there is a reference: a run without faults."""

    invariant = "I10"
    says = "objects are made and deleted as often as without faults"

    def __init__(self, reference: Shape | None = None) -> None:
        super().__init__()
        self._reference = reference
        self._counts: dict[str, Counter[tuple[str, str, str]]] = {}
        self.shapes: list[Shape] = []
        """Of all Experiments that ended, in the order in which that was certain."""

    def forget(self, root: str) -> None:
        self._counts.pop(root, None)

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        tree = world.tree_of(change.thing) if change is not None else None
        if change is None or tree is None:
            return
        if is_of_kfx(write) and write.verb in {"create", "delete"}:
            counts = self._counts.setdefault(tree.uid, Counter())
            counts[write.resource, write.verb, f"{write.namespace}/{write.name}"] += 1
        if change.after is None and change.thing.uid == tree.uid and tree.ended:
            yield from self._judge(tree, world)

    def end(self, world: World) -> Iterable[Violation]:
        for tree in world.trees.values():
            if tree.ended and not tree.gone:
                yield from self._judge(tree, world)

    def _judge(self, tree: Tree, world: World) -> Iterable[Violation]:
        found = self._shape_of(tree.uid)
        self.shapes.append(found)
        if self._reference is None:
            return
        for key in sorted({*self._reference, *found}):
            self.judged += 1
            wanted, got = self._reference.get(key, {}), found.get(key, {})
            if wanted != got:
                text = f"{' '.join(key)}: {_words(got)}; without faults {_words(wanted)}"
                yield self.left(world, tree.experiment, text)

    def _shape_of(self, root: str) -> Shape:
        shape: dict[tuple[str, str], Counter[int]] = {}
        for (resource, verb, _), times in self._counts.get(root, Counter()).items():
            shape.setdefault((resource, verb), Counter())[times] += 1
        return shape


def _words(counts: Mapping[int, int]) -> str:
    return ", ".join(f"{number} objects {times}×" for times, number in sorted(counts.items())) or "none"
