"""Where bearer tokens come from, and when they are asked for again."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from kfx.kube.tls import CredentialsError

TOKEN_LIFE = 60.0  # seconds after which a token file is read again (client-go: 1 min)
PLUGIN_LIFE = 600.0  # seconds a plugin's token is used when it names no expiry
EXPIRY_MARGIN = 60.0  # seconds before its expiry that a plugin's token is replaced


class TokenSource(Protocol):
    """Gives the bearer token of the next request; ``""`` for none."""

    async def token(self) -> str: ...

    def expire(self) -> None:
        """The server refused the token: the next call must fetch it anew."""
        ...


class StaticToken:
    """A token that never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    def expire(self) -> None:
        """Nothing to fetch anew."""


class TokenFile:
    """A token in a file that is replaced from time to time, such as a service account's."""

    def __init__(self, path: Path, *, origin: str, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._origin = origin
        self._now = now
        self._token = ""
        self._read_at: float | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Raises :class:`CredentialsError` while no token could ever be read; else the last one stands."""
        async with self._lock:  # who comes while it is read must not go without a token
            if not self._token or self._read_at is None or self._now() - self._read_at >= TOKEN_LIFE:
                self._read_at = self._now()
                self._token = await asyncio.to_thread(self._read) or self._token
            if not self._token:
                raise CredentialsError(
                    f"{self._origin}: {self._path} holds no token; check that it is mounted"
                )
            return self._token

    def expire(self) -> None:
        self._read_at = None

    def _read(self) -> str:
        try:
            return self._path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""


class PluginToken:
    """A token from a kubeconfig's ``exec`` or ``auth-provider``, fetched by kubernetes_asyncio.

    The library is imported at the first token, as it costs 0.3 s and 60 MB.
    """

    def __init__(self, user: Mapping[str, Any], *, origin: str, now: Callable[[], float] = time.time) -> None:
        self._user = user
        self._origin = origin
        self._now = now
        self._token = ""
        self._expires_at = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Raises :class:`CredentialsError` when the plugin fails or answers with a certificate."""
        async with self._lock:  # a plugin may ask the user something: once is enough
            if self._now() >= self._expires_at:
                self._token, self._expires_at = await self._fetch()
        return self._token

    def expire(self) -> None:
        self._expires_at = 0.0

    async def _fetch(self) -> tuple[str, float]:
        try:
            if "exec" in self._user:
                return await self._run_exec()
            return await self._ask_provider()
        except CredentialsError:
            raise
        except Exception as failed:  # noqa: BLE001 — a plugin may fail in any way, and its words may hold a token
            raise CredentialsError(
                f"{self._origin}: the plugin gave no token ({type(failed).__name__}); "
                "run kubectl with this kubeconfig to see why"
            ) from None

    async def _run_exec(self) -> tuple[str, float]:
        from kubernetes_asyncio.config.exec_provider import ExecProvider  # noqa: PLC0415 — see the class
        from kubernetes_asyncio.config.kube_config import ConfigNode  # noqa: PLC0415

        status = await ExecProvider(ConfigNode("exec", self._user["exec"])).run()
        if "token" not in status:
            raise CredentialsError(
                f"{self._origin}: the plugin answered without a token; only tokens are supported, "
                "put client certificates into the kubeconfig"
            )
        expiry = status.get("expirationTimestamp")
        if not expiry:
            return str(status["token"]), self._now() + PLUGIN_LIFE
        return str(status["token"]), _timestamp(expiry) - EXPIRY_MARGIN

    async def _ask_provider(self) -> tuple[str, float]:
        from kubernetes_asyncio.client import Configuration  # noqa: PLC0415
        from kubernetes_asyncio.config import load_kube_config_from_dict  # noqa: PLC0415

        named = {"cluster": "it", "user": "it"}
        document = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": named}],
            "clusters": [{"name": "it", "cluster": {"server": "https://unused"}}],
            "users": [{"name": "it", "user": {"auth-provider": dict(self._user["auth-provider"])}}],
        }
        found = Configuration()
        await load_kube_config_from_dict(document, client_configuration=found)
        return str(found.api_key["BearerToken"]).removeprefix("Bearer "), self._now() + TOKEN_LIFE


def _timestamp(text: str) -> float:
    when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
