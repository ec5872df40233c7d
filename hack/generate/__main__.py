"""``python -m hack.generate [--check]``: write every generated file, or name those that are stale.

Exit status 1 where ``--check`` finds one.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.generate import api_reference, configuration, crds, flags, metrics, openapi
from hack.proto import generate as proto
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "make generate"

FILES: Mapping[str, Callable[[], str]] = {
    "config/crd/bases/kubeflow.org_experiments.yaml": lambda: crds.render(Experiment),
    "config/crd/bases/kubeflow.org_suggestions.yaml": lambda: crds.render(Suggestion),
    "config/crd/bases/kubeflow.org_trials.yaml": lambda: crds.render(Trial),
    "docs/swagger.json": openapi.render,
    "docs/reference/api.md": api_reference.render,
    "docs/reference/configuration.md": configuration.render,
    "docs/reference/flags.md": flags.render,
    "docs/reference/metrics.md": metrics.render,
    "kfx/services/pb/api_pb2.py": proto.generate,
}
"""Every generated file, from the top of the project, and what writes its text."""


def stale(root: Path) -> dict[str, str]:
    """The files below ``root`` that are missing or differ from what would be written, and that."""
    wanted = {name: render() for name, render in FILES.items()}
    return {name: text for name, text in wanted.items() if _read(root / name) != text}


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """0: all is as the code says, or was made so."""
    parser = argparse.ArgumentParser(prog="python -m hack.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file is stale")
    check = parser.parse_args(argv).check
    found = stale(ROOT)
    for name, text in found.items():
        if check:
            print(f"{name} is stale: run `{COMMAND}` and commit the result", file=sys.stderr)
        else:
            _write(ROOT / name, text)
            print(f"wrote {name}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
