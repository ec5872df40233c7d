"""``docs/reference/configuration.md`` knows every key that is read."""

from pathlib import Path

import pytest
import yaml

from hack.generate import configuration
from kfx.apis.katib_config import MetricsCollectorEntry
from kfx.config import FLAGS, load_config
from kfx.config_file import CONTROLLER_KEYS

VALUES = {"bool": True, "port": 1234, "address": ":1234", "Kind.version.group": ["Job.v1.batch"]}


@pytest.mark.parametrize(("key", "name"), CONTROLLER_KEYS.items())
def test_a_key_of_the_page_sets_the_flag_beside_it(key: str, name: str, tmp_path: Path) -> None:
    (flag,) = [each for each in FLAGS if each.name == name]
    value = VALUES.get(flag.type, "other")
    file = tmp_path / "katib-config.yaml"
    file.write_text(yaml.safe_dump({"init": {"controller": {key: value}}}))
    found = getattr(load_config([f"--katib-config={file}"], {}), name.replace("-", "_"))
    assert found == (tuple(value) if isinstance(value, list) else value)
    assert f"| `{key}` | `--{name}` |" in configuration.render()


def test_every_key_of_an_entry_is_on_the_page() -> None:
    section = configuration.render().partition("### MetricsCollectorEntry")[2]
    assert all(f"| `{name}` |" in section for name in MetricsCollectorEntry.__struct_encode_fields__)
