"""The Makefile offers what the documents name, and CI takes the same way as a person."""

import os
import re
import subprocess

import pytest

from tests.rules.source_tree import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^\.PHONY: (\S+)", MAKEFILE, re.MULTILINE))


def _make(*words: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ran = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return ran.stdout


def test_help_names_every_target() -> None:
    assert {"help", "setup", "lint", "fmt", "test-unit", "test", "run", "verify"} <= TARGETS
    assert set(re.findall(r"^  (\S+)", _make("help"), re.MULTILINE)) == TARGETS


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/cluster.md"]
)
def test_every_target_that_a_document_names_is_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert (
        set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^\$ make (\S+)", text, re.MULTILINE))
        <= TARGETS
    )


def test_a_cluster_that_only_the_shell_names_is_left_alone() -> None:
    assert "--kubeconfig" not in _make("-n", "run", KUBECONFIG="theirs")
    assert '--kubeconfig "theirs"' in _make("-n", "run", "KUBECONFIG=theirs")


def test_run_passes_on_what_it_is_asked() -> None:
    words = _make("-n", "run", "EXPERIMENT=e.yaml", "KEEP=1", "IMG=i", "TRAINER_IMG=t")
    for flag in ('--experiment "e.yaml"', "--keep", '--image "i"', '--trainer-image "t"'):
        assert flag in words
    assert "--keep" not in _make("-n", "run", "KEEP=0")


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^exec make .*\btest$", script.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_file_that_a_document_links_to_is_there() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_verify_looks_for_stale_files_and_generate_writes_them() -> None:
    assert "-m hack.generate --check" in _make("-n", "verify")
    words = _make("-n", "generate")
    assert "-m hack.generate" in words
    assert "--check" not in words
