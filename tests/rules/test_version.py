"""One version, wherever it is written."""

import re
import tomllib

import yaml

from kfx import __version__
from tests.rules.source_tree import ROOT


def test_the_project_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert [name for name in headings if name != "Unreleased"][:1] == [__version__]


def test_the_deployment_runs_the_image_of_this_version() -> None:
    deployment = yaml.safe_load((ROOT / "config/manager/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f":v{__version__}")
    assert {"name": "KFX_IMAGE", "value": container["image"]} in container["env"]
