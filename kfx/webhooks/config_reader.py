"""katib-config as it stands now, parsed once for each version of the ConfigMap."""

from functools import cached_property

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
    """Reads the cache. Without a ConfigMap only what is built in answers.

    Without ``built_ins`` nothing does, as in Katib; kfx's collectors are only used where they are named.
    """

    def __init__(
        self,
        *,
        config_maps: Lister[ConfigMap],
        core_namespace: str,
        collector_image: str,
        built_ins: bool = True,
    ) -> None:
        self._config_maps = config_maps
        self._key = Request(core_namespace, CONFIG_MAP)
        self._collector_image = collector_image
        self._built_ins = built_ins
        self._parsed: tuple[ConfigMap, RuntimeConfig | str] | None = None

    def read(self) -> RuntimeConfig:
        """The configuration, completed by what is built in. Raises :class:`KatibConfigError`."""
        config_map = self._config_maps.get(self._key)
        if config_map is None:
            return self._without_config_map()
        if self._parsed is None or self._parsed[0] is not config_map:
            self._parsed = (config_map, self._parse(config_map))
        found = self._parsed[1]
        if isinstance(found, str):
            raise KatibConfigError(found)
        return found

    def _without_config_map(self) -> RuntimeConfig:
        if self._built_ins:
            return self._built_in
        raise KatibConfigError(
            f'ConfigMap "{CONFIG_MAP}" not found in namespace {self._key.namespace}; create it, or have kfx '
            "run algorithms itself (--suggestions=embedded)"
        )

    @cached_property
    def _built_in(self) -> RuntimeConfig:
        return with_built_ins(EMPTY_CONFIG, collector_image=self._collector_image)

    def _parse(self, config_map: ConfigMap) -> RuntimeConfig | str:
        try:
            parsed = parse_runtime_config(config_map.data or {})
        except KatibConfigError as error:
            log.warning("katib-config cannot be used; correct it", error=str(error))
            return str(error)
        return with_built_ins(parsed, collector_image=self._collector_image) if self._built_ins else parsed
