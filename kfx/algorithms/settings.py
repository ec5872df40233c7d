"""Settings of algorithms, and the stream of chance that belongs to one suggestion."""

import hashlib
from random import Random

from kfx.apis.experiment import Experiment


def setting(experiment: Experiment, name: str) -> str | None:
    """The value of an algorithm setting, the last one where it is given twice."""
    algorithm = experiment.spec.algorithm
    found = [each.value for each in algorithm.algorithm_settings if each.name == name] if algorithm else []
    return found[-1] if found else None


def validate_random_state(text: str) -> str | None:
    """The rule of Katib's suggestion images: an integer, not negative."""
    try:
        seed = int(text)
    except ValueError as error:
        return f"failed to validate random_state({text}): {error}"
    return "random_state should be great or equal than zero" if seed < 0 else None


def seed_of(experiment: Experiment) -> str:
    """What an experiment's chance starts from: its setting ``random_state``, else its uid."""
    stated = setting(experiment, "random_state")
    if stated is not None:
        return f"random_state {int(stated)}"
    return experiment.metadata.uid or "/".join(experiment.key)


def rng_for(seed: str, number: int) -> Random:
    """The generator of suggestion ``number``. It depends on nothing else, so a suggestion that is
    asked for again, by this process or the next, comes out the same."""
    digest = hashlib.sha256(f"{seed}\n{number}".encode()).digest()
    return Random(int.from_bytes(digest, "big"))  # noqa: S311 — a search, not a secret
