"""I10: how often each object is made and deleted, compared with a run without faults."""

from collections import Counter
from collections.abc import Iterable, Mapping

from hack.verify.audit import Write
from hack.verify.check import PerTree, Violation
from hack.verify.world import Change, World, is_of_kfx

Shape = Mapping[tuple[str, str], Mapping[int, int]]
"""By resource and verb: how many objects kfx made, or deleted, so many times."""


class SameCounts(PerTree):
    """I10. Judged only where there is a reference: the shape of an Experiment that ran without faults."""

    invariant = "I10"
    says = "objects are made and deleted as often as without faults"

    def __init__(self, reference: Shape | None = None) -> None:
        super().__init__()
        self._reference = reference
        self._counts: dict[str, Counter[tuple[str, str, str]]] = {}

    def forget(self, root: str) -> None:
        self._counts.pop(root, None)

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        del world
        if change is not None and is_of_kfx(write) and write.verb in {"create", "delete"}:
            counts = self._counts.setdefault(change.thing.root, Counter())
            counts[write.resource, write.verb, f"{write.namespace}/{write.name}"] += 1
        return ()

    def shape_of(self, root: str) -> Shape:
        shape: dict[tuple[str, str], Counter[int]] = {}
        for (resource, verb, _), times in self._counts.get(root, Counter()).items():
            shape.setdefault((resource, verb), Counter())[times] += 1
        return shape

    def end(self, world: World) -> Iterable[Violation]:
        if self._reference is None:
            return
        for tree in world.trees.values():
            if not tree.ended:
                continue
            found = self.shape_of(tree.uid)
            for key in sorted({*self._reference, *found}):
                self.judged += 1
                wanted, got = self._reference.get(key, {}), found.get(key, {})
                if wanted != got:
                    text = f"{' '.join(key)}: {_words(got)}; without faults {_words(wanted)}"
                    yield Violation(
                        invariant=self.invariant, object=str(tree.experiment), text=text, at=world.now,
                        requests=(), resource=key[0],
                    )  # fmt: skip


def _words(counts: Mapping[int, int]) -> str:
    return ", ".join(f"{number} objects {times}×" for times, number in sorted(counts.items())) or "none"
