"""The KatibConfig file of ``--katib-config``, as far as it is read once at the start: its ``init`` part.

Decoding as Katib's (``util/v1beta1/katibconfig.GetInitConfigData``): an empty document and absent
``apiVersion`` and ``kind`` are accepted, of two keys of one name the last counts, letter case matters. What
Katib ignores silently is named in :attr:`InitConfig.warnings`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kfx.flags import DNS_LABEL, DNS_NAME, Flag, FlagError

API_VERSION = "config.kubeflow.org/v1beta1"
KIND = "KatibConfig"

CONTROLLER_KEYS: Mapping[str, str] = {
    "experimentSuggestionName": "experiment-suggestion-name",
    "metricsAddr": "metrics-addr",
    "healthzAddr": "healthz-addr",
    "injectSecurityContext": "webhook-inject-securitycontext",
    "enableGRPCProbeInSuggestion": "enable-grpc-probe-in-suggestion",
    "trialResources": "trial-resources",
    "webhookPort": "webhook-port",
    "enableLeaderElection": "enable-leader-election",
    "leaderElectionID": "leader-election-id",
}
"""Key of ``init.controller`` → the flag whose default it is."""
_RUNTIME = ("suggestions", "earlyStoppings", "metricsCollectors")
_CERT_GENERATOR = ("enable", "webhookServiceName", "webhookSecretName")
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertGenerator:
    """``init.certGenerator``: whether kfx must issue its certificate, for which Service, in which Secret.

    ``enabled`` also where a name is stated, whatever ``enable`` says (Katib ``setCertGeneratorConfig``).
    """

    enabled: bool = False
    service_name: str = "katib-controller"
    secret_name: str = "katib-webhook-cert"  # noqa: S105 — a name


@dataclass(frozen=True, slots=True, kw_only=True)
class InitConfig:
    """What the file says. ``values`` by flag name; absent where the file leaves the default."""

    values: Mapping[str, Any] = field(default_factory=dict)
    cert_generator: CertGenerator = CertGenerator()
    warnings: tuple[str, ...] = ()


def read_init(path: str, flags: Sequence[Flag]) -> InitConfig:
    """Read the file; ``flags`` judge its values. Raises :class:`kfx.flags.FlagError`, naming the key."""
    try:
        return _init_of(_document(path), {flag.name: flag for flag in flags})
    except ValueError as error:
        raise FlagError(f'invalid value "{path}" for flag --katib-config: {error}') from None


def _document(path: str) -> Any:
    try:
        return next(iter(yaml.load_all(Path(path).read_bytes(), Loader=_LOADER)), None)
    except OSError as error:
        raise ValueError(error.strerror) from None
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from None


def _init_of(document: Any, flags: Mapping[str, Flag]) -> InitConfig:
    whole = _mapping(document, "the file")
    stated = (whole.get("apiVersion") or API_VERSION, whole.get("kind") or KIND)
    if stated != (API_VERSION, KIND):
        raise ValueError(
            f"it holds apiVersion {stated[0]} and kind {stated[1]}: "
            f"expected apiVersion {API_VERSION} and kind {KIND}"
        )
    init = _mapping(whole.get("init"), "init")
    controller = _mapping(init.get("controller"), "init.controller")
    generator = _mapping(init.get("certGenerator"), "init.certGenerator")
    runtime = _mapping(whole.get("runtime"), "runtime")
    _check_lists(runtime)
    unknown = (
        *_unknown("", whole, ("apiVersion", "kind", "metadata", "init", "runtime")),
        *_unknown("runtime.", runtime, _RUNTIME),
        *_unknown("init.", init, ("controller", "certGenerator")),
        *_unknown("init.controller.", controller, CONTROLLER_KEYS),
        *_unknown("init.certGenerator.", generator, _CERT_GENERATOR),
    )
    return InitConfig(
        values=dict(_values(controller, flags)), cert_generator=_cert_generator(generator), warnings=unknown
    )


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not a mapping: write key: value lines")
    return value


def _check_lists(runtime: Mapping[str, Any]) -> None:
    """Katib reads the whole file, and ends at what is no such list. Here only the ConfigMap's is used."""
    for key in _RUNTIME:
        for index, entry in enumerate(_entries(runtime.get(key), f"runtime.{key}")):
            _mapping(entry, f"runtime.{key}[{index}]")


def _entries(value: Any, place: str) -> Iterable[Any]:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{place} is not a list: write - key: value lines")
    return value or ()


def _unknown(place: str, found: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    by_lower = {name.lower(): name for name in known}
    for key in found:
        meant = by_lower.get(str(key).lower())
        if meant != key:
            hint = f"; {place}{meant} is meant" if meant else ""
            yield f"{place}{key} in the file of --katib-config is unknown and has no effect{hint}"


def _values(controller: Mapping[str, Any], flags: Mapping[str, Flag]) -> Iterator[tuple[str, Any]]:
    for key, name in CONTROLLER_KEYS.items():
        value, place = controller.get(key), f"init.controller.{key}"
        if value is None or value in ("", []):
            continue
        flag = flags[name]
        try:
            if flag.repeated:
                yield name, tuple(flag.parse(_text(each)) for each in _list(value))
            elif flag.type == "bool":
                yield name, _bool(value)
            elif flag.type == "port":
                yield name, flag.parse(str(_int(value)))
            else:
                yield name, flag.parse(_text(value))
        except ValueError as error:
            raise ValueError(f'{place} is "{value}": {error}') from None


def _cert_generator(found: Mapping[str, Any]) -> CertGenerator:
    service = _name(found, "webhookServiceName", DNS_LABEL)
    secret = _name(found, "webhookSecretName", DNS_NAME)
    enable = found.get("enable")
    try:
        enabled = enable is not None and _bool(enable)
    except ValueError as error:
        raise ValueError(f'init.certGenerator.enable is "{enable}": {error}') from None
    default = CertGenerator()
    return CertGenerator(
        enabled=enabled or bool(service or secret),
        service_name=service or default.service_name,
        secret_name=secret or default.secret_name,
    )


def _name(found: Mapping[str, Any], key: str, form: re.Pattern[str]) -> str:
    value = found.get(key)
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(
            f'init.certGenerator.{key} is "{value}": expected a name of lower-case letters, digits and -'
        )
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string, put it in quotes")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false, without quotes")
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected a port from 1 to 65535, without quotes")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value
