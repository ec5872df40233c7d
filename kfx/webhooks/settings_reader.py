"""The settings of injection, with what only the API server can tell: whether it knows native sidecars."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from kfx.katib.injection import InjectionSettings
from kfx.kube.errors import ApiError, TransportError
from kfx.runtime.log import get_logger

FIRST_MINOR = 29
"""Since Kubernetes 1.29 the restart policy of an init container is kept (``SidecarContainers``)."""

log = get_logger("webhooks")


class VersionReader(Protocol):
    """Asks the API server anything."""

    async def request(self, method: str, path: str) -> Mapping[str, Any]: ...


class SettingsReader:
    """``form`` of kfx's own collector: ``auto``, ``native`` or ``classic``, the flag's value.

    Both ``auto`` and ``native`` need an API server of 1.29 or newer: an older one would drop the restart
    policy, and the pod would wait for its collector before it trains. ``native`` says so in the log.
    """

    def __init__(self, settings: InjectionSettings, *, form: str, client: VersionReader) -> None:
        self._settings = settings
        self._form = form
        self._client = client
        self._able: bool | None = None

    @property
    def known(self) -> InjectionSettings | None:
        """What :meth:`read` gives, where nothing must be asked for it."""
        return self._settings if self._able is not None or self._form == "classic" else None

    async def read(self) -> InjectionSettings:
        """The server's version is asked for until it has been told once; untold, it counts as too old."""
        if self.known is None:
            try:
                self._able = _knows_sidecars(await self._client.request("GET", "/version"))
            except (ApiError, TransportError):
                return self._settings
            if self._form == "native" and not self._able:
                log.warning("native sidecars need Kubernetes 1.29; the collector stays a container")
            self._settings = replace(self._settings, native_sidecar=self._able)
        return self._settings


def _knows_sidecars(version: Mapping[str, Any]) -> bool:
    return _number(version.get("major")) > 1 or _number(version.get("minor")) >= FIRST_MINOR


def _number(text: Any) -> int:
    """Some distributions write ``29+``."""
    found = re.match(r"\d+", str(text))
    return int(found[0]) if found else 0
