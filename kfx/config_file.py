"""The KatibConfig file of ``--katib-config``, as far as it is read once at the start."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kfx.flags import Flag, FlagError

_FILE_KEYS = {
    "metricsAddr": "metrics-addr",
    "healthzAddr": "healthz-addr",
    "webhookPort": "webhook-port",
    "enableLeaderElection": "enable-leader-election",
    "leaderElectionID": "leader-election-id",
    "trialResources": "trial-resources",
}


def read_init(path: str, flags: Sequence[Flag]) -> dict[str, Any]:
    """The ``init.controller`` part of the file, by flag name. Raises :class:`kfx.flags.FlagError`."""
    try:
        document = msgspec.yaml.decode(Path(path).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FlagError(f'invalid value "{path}" for flag --katib-config: {reason}') from None
    part: Any = document
    for key in ("init", "controller"):
        part = (part or {}).get(key) if isinstance(part, dict | None) else part
    if not isinstance(part, dict | None):
        raise FlagError(f'invalid value "{path}" for flag --katib-config: init.controller is not a mapping')
    return _by_flag(path, part or {}, flags)


def _by_flag(path: str, part: Mapping[str, Any], flags: Sequence[Flag]) -> dict[str, Any]:
    known = {flag.name: flag for flag in flags}
    found: dict[str, Any] = {}
    for key, name in _FILE_KEYS.items():
        value = part.get(key)
        if value in (None, "", []):
            continue
        flag = known[name]
        texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in _as_list(value)]
        try:
            values = tuple(flag.parse(text) for text in texts)
        except ValueError as error:
            raise FlagError(
                f'invalid value "{path}" for flag --katib-config: init.controller.{key} is "{value}": {error}'
            ) from None
        found[name] = values if flag.repeated else values[0]
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
