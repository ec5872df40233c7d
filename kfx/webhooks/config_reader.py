"""katib-config as it stands now, parsed once for each version of the ConfigMap."""

from kfx.apis.core import ConfigMap
from kfx.katib.katib_config import (
    CONFIG_MAP,
    EMPTY_CONFIG,
    KatibConfigError,
    RuntimeConfig,
    parse_runtime_config,
    with_built_ins,
)
from kfx.runtime.log import get_logger
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister

log = get_logger("katib-config")


class KatibConfigReader:
    """Reads the cache. Without a ConfigMap only what is built in answers."""

    def __init__(self, *, config_maps: Lister[ConfigMap], core_namespace: str, collector_image: str) -> None:
        self._config_maps = config_maps
        self._key = Request(core_namespace, CONFIG_MAP)
        self._collector_image = collector_image
        self._built_in = with_built_ins(EMPTY_CONFIG, collector_image=collector_image)
        self._parsed: tuple[ConfigMap, RuntimeConfig | str] | None = None

    def read(self) -> RuntimeConfig:
        """The configuration with the built-in collectors. Raises :class:`KatibConfigError`."""
        config_map = self._config_maps.get(self._key)
        if config_map is None:
            return self._built_in
        if self._parsed is None or self._parsed[0] is not config_map:
            self._parsed = (config_map, self._parse(config_map))
        found = self._parsed[1]
        if isinstance(found, str):
            raise KatibConfigError(found)
        return found

    def _parse(self, config_map: ConfigMap) -> RuntimeConfig | str:
        try:
            parsed = parse_runtime_config(config_map.data or {})
        except KatibConfigError as error:
            log.warning("katib-config cannot be used; correct it", error=str(error))
            return str(error)
        return with_built_ins(parsed, collector_image=self._collector_image)
