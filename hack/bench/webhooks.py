"""kfx's webhooks with all they do, beside a controller-runtime webhook that does nothing."""

import sys
import tempfile
from pathlib import Path

from hack.bench import reviews
from hack.bench.admission import bare_peer
from hack.bench.contender import Contender
from hack.bench.figures import Section
from hack.bench.load import HOW, Load, write_pair

NOTE = (
    "kfx does all its work on what it needs in its caches; the Experiment's namespace, which the validator "
    f"reads live, is answered in its own process. controller-runtime adds one label to whatever comes. {HOW}"
)


def loads(seconds: float) -> dict[str, tuple[str, Load]]:
    """By name: what is sent, in words, and the load."""
    pod = reviews.pod_review()
    plain, defaulted = (reviews.experiment_review(defaulted=each) for each in (False, True))
    return {
        "mutator": (
            f"the Pod of a cached Trial, {len(pod)} bytes",
            Load("/mutate-pod", pod, '"patch":"', seconds),
        ),
        "defaulter": (
            f"the sample Experiment, {len(plain)} bytes",
            Load("/mutate-experiment", plain, '"patch":"', seconds),
        ),
        "validator": (
            f"the same with its defaults, {len(defaulted)} bytes",
            Load("/validate-experiment", defaulted, '"allowed":true', seconds),
        ),
    }


def contenders() -> list[Contender]:
    """kfx's webhooks and controller-runtime's empty one."""
    return [
        Contender("kfx", (sys.executable, "-m", "hack.bench.operators.webhooks", "{}", "{}")),
        bare_peer(),
    ]


def measure(*, seconds: float, rounds: int) -> dict[str, Section]:
    """A section for each webhook."""
    sections = {}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        write_pair(directory)
        for name, (words, load) in loads(seconds).items():
            section = sections[name] = Section(f"{name}: {words}, {seconds:g} s a round", NOTE)
            for _ in range(rounds):
                for contender in contenders():
                    section.add(contender.name, load.measure(contender, directory))
    return sections
