"""A real registry of images for tests: CNCF Distribution, built from the module pinned beside this file."""

from pathlib import Path

from hack.cluster import binaries
from hack.cluster.binaries import Tool

PINS = Path(__file__).resolve().parent
REGISTRY = Tool("registry", "distribution", "github.com/distribution/distribution/v3/cmd/registry", 3)


def find_registry(cache: Path) -> Path:
    """The program, built at the first call. Raises BuildError."""
    return binaries.find((REGISTRY,), cache, PINS)["registry"]
