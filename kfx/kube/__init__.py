"""One API server: types, errors, credentials, requests. No Katib word, no cache, no queue.

The names below are what an operator's author needs; docs/runtime.md explains them. Each module is loaded
when the first of its names is asked for, so importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfx.kube.client import Client
    from kfx.kube.credentials import Credentials, CredentialsError, load_credentials
    from kfx.kube.errors import (
        AlreadyExists,
        ApiError,
        Conflict,
        Forbidden,
        Invalid,
        NotFound,
        TransportError,
    )
    from kfx.kube.model import (
        Condition,
        KubeObject,
        Model,
        ObjectMeta,
        OwnerReference,
        Unstructured,
        to_builtins,
    )
    from kfx.kube.resource import Resource
    from kfx.kube.transport import Transport

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Client",
    "Condition",
    "Conflict",
    "Credentials",
    "CredentialsError",
    "Forbidden",
    "Invalid",
    "KubeObject",
    "Model",
    "NotFound",
    "ObjectMeta",
    "OwnerReference",
    "Resource",
    "Transport",
    "TransportError",
    "Unstructured",
    "load_credentials",
    "to_builtins",
]

_NAMES = {
    "client": ("Client",),
    "credentials": ("Credentials", "CredentialsError", "load_credentials"),
    "errors": (
        "AlreadyExists",
        "ApiError",
        "Conflict",
        "Forbidden",
        "Invalid",
        "NotFound",
        "TransportError",
    ),
    "model": (
        "Condition",
        "KubeObject",
        "Model",
        "ObjectMeta",
        "OwnerReference",
        "Unstructured",
        "to_builtins",
    ),
    "resource": ("Resource",),
    "transport": ("Transport",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker that saw this would believe in every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
