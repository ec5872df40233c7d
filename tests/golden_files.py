"""Text that is compared with a file which people read when behaviour changes.

``KFX_REWRITE_GOLDEN=1`` writes the files anew; the difference is then for git, and for the reader.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
SWITCH = "KFX_REWRITE_GOLDEN"


def assert_golden(name: str, text: str) -> None:
    """Fail unless ``text`` is what ``tests/golden/<name>`` holds."""
    path = FOLDER / name
    if os.environ.get(SWITCH):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is not there; write it with {SWITCH}=1"
    assert text == path.read_text(encoding="utf-8"), f"if this is meant, rewrite it with {SWITCH}=1"
