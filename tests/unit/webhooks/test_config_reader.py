"""katib-config out of the cache."""

import pytest
from structlog.testing import capture_logs

from kfx.apis.core import ConfigMap
from kfx.katib.katib_config import KatibConfigError
from kfx.kube.model import ObjectMeta
from kfx.runtime.store import Store
from kfx.webhooks.config_reader import KatibConfigReader


def config_map(text: str, *, namespace: str = "kubeflow", name: str = "katib-config") -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data={"katib-config.yaml": text})


class World:
    """A cache of ConfigMaps and its reader."""

    def __init__(self, *found: ConfigMap, built_ins: bool = True) -> None:
        self.store: Store[ConfigMap] = Store()
        for entry in found:
            self.put(entry)
        self.reader = KatibConfigReader(
            config_maps=self.store,
            core_namespace="kubeflow",
            collector_image="kfx:1",
            built_ins=built_ins,
        )

    def put(self, entry: ConfigMap) -> None:
        self.store.put(entry)

    @property
    def image(self) -> str:
        return self.reader.read().metrics_collector("StdOut").image


ENTRY = "runtime: {metricsCollectors: [{kind: StdOut, image: theirs}]}"


def test_without_a_config_map_the_built_in_collector_answers() -> None:
    assert World(config_map(ENTRY, namespace="other"), config_map(ENTRY, name="other")).image == "kfx:1"


def test_without_built_ins_a_config_map_that_is_absent_is_an_error_as_in_katib() -> None:
    with pytest.raises(
        KatibConfigError, match=r'^ConfigMap "katib-config" not found in namespace kubeflow; '
    ):
        World(built_ins=False).reader.read()


def test_without_built_ins_only_what_is_named_answers() -> None:
    world = World(config_map(ENTRY), built_ins=False)
    assert world.image == "theirs"
    with pytest.raises(KatibConfigError, match="failed to find metrics collector config for kind: File"):
        world.reader.read().metrics_collector("File")


def test_an_entry_wins_and_a_change_acts_at_once() -> None:
    world = World(config_map(ENTRY))
    assert world.image == "theirs"
    world.put(config_map(ENTRY.replace("theirs", "newer")))
    assert world.image == "newer"


def test_one_version_is_parsed_once() -> None:
    """K22: whoever asks."""
    world = World(config_map(ENTRY))
    assert world.reader.read() is world.reader.read()


def test_an_error_stays_until_the_config_map_changes() -> None:
    world = World(config_map("kind: Foo"))
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(KatibConfigError, match="Foo"):
                world.reader.read()
    assert [line["event"] for line in lines] == ["katib-config cannot be used; correct it"]
    world.put(config_map(ENTRY))
    assert world.image == "theirs"
