"""Pod reviews answered with a one-line patch: the servers alone."""

import sys
import tempfile
from pathlib import Path

from hack.bench import reviews
from hack.bench.contender import Contender, build_go_peer
from hack.bench.figures import Section
from hack.bench.load import HOW, Load, write_pair

NOTE = f"A Pod's review of {reviews.BODY_SIZE} bytes. {HOW}"


def bare_peer() -> Contender:
    """controller-runtime, which answers all reviews with one line."""
    return Contender("controller-runtime", (str(build_go_peer()), "admission", "{}", "{}"))


def contenders() -> list[Contender]:
    """kfx and controller-runtime."""
    return [
        Contender("kfx", (sys.executable, "-m", "hack.bench.operators.admission", "{}", "{}")),
        bare_peer(),
    ]


def measure(*, seconds: float, rounds: int) -> Section:
    """All contenders under the same load."""
    section = Section(f"admission: {seconds:g} s a round", NOTE)
    load = Load("/mutate-pod", reviews.pod_review(), '"patch":"', seconds)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_pair(directory)
        for _ in range(rounds):
            for contender in contenders():
                section.add(contender.name, load.measure(contender, directory))
    return section
