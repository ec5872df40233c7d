"""What is in the project works on any machine and says nothing of the one it was written on."""

import re
from pathlib import Path

from tests.rules.source_tree import ROOT, name_of, project_files, python_files

# A slash before these words, but not within a longer path such as /proc/1/root.
_MACHINE_PATH = re.compile(r"(?<!root:)(?<![\w.}\])*/])/(?:work|farm|root)(?:/|(?=[\s\"'`:;,)]|$))")
_REGISTRY_HOST = re.compile(
    r"pypi\.(?:org|python)|pythonhosted\.|proxy\.golang\.|sum\.golang\.|deb\.debian\.|registry\.npmjs\.",
    re.IGNORECASE,
)
_LOCK_OPTION = re.compile(
    r"^\s*(?:--(?:index-url|extra-index-url|find-links|trusted-host)|-[if]\b)|://", re.MULTILINE
)


def _texts() -> dict[str, str]:
    found = {}
    for path in project_files():
        data = path.read_bytes()
        if b"\0" not in data:
            found[name_of(path)] = data.decode("utf-8")
    return found


def _matches(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_source_file_is_hidden_from_git() -> None:
    """A pattern of .gitignore may mean a folder at the top and hit a package as well."""
    listed = {name_of(path) for path in project_files()}
    written = {name_of(path) for path in python_files("kfx", "hack", "tests", "docs")}
    assert sorted(written - listed) == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert _matches(_MACHINE_PATH, _texts()) == []


def test_no_file_names_a_package_registry() -> None:
    assert _matches(_REGISTRY_HOST, _texts()) == []


def test_lock_files_leave_the_choice_of_the_index_to_the_machine() -> None:
    locks = {name_of(path): path.read_text() for path in sorted(ROOT.glob("requirements*.lock"))}
    assert locks
    assert _matches(_LOCK_OPTION, locks) == []


def test_every_locked_requirement_has_a_version_and_a_hash() -> None:
    for path in sorted(ROOT.glob("requirements*.lock")):
        for entry in _entries(path):
            assert re.match(r"[A-Za-z0-9._\[\]-]+==\S+", entry), f"{path.name}: {entry[:60]}"
            assert "--hash=sha256:" in entry, f"{path.name}: {entry[:60]}"


def _entries(path: Path) -> list[str]:
    lines = [
        line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return [entry.strip() for entry in "\n".join(lines).replace("\\\n", " ").splitlines()]


def test_a_machine_path_and_a_registry_would_be_found() -> None:
    planted = {
        "a": "cd /" + "work/main",
        "b": "index = pypi." + "org",
        "c": "/proc/1/" + "root",
        "d": "/" + "root",
    }
    assert _matches(_MACHINE_PATH, planted) == ["a:1: cd /" + "work/main", "d:1: /" + "root"]
    assert _matches(_REGISTRY_HOST, planted) == ["b:1: index = pypi." + "org"]
