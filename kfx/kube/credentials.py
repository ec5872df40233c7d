"""Who we are to which API server: kubeconfig, or the files of a pod."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from kfx.kube.kubeconfig import Entry, Selection, select_context
from kfx.kube.tls import CredentialsError, Material, Stamp, Tls
from kfx.kube.tokens import PluginToken, StaticToken, TokenFile, TokenSource

__all__ = ["Credentials", "CredentialsError", "load_credentials"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CERTIFICATE_LIFE = 60.0  # seconds after which certificate files are looked at again

log = structlog.get_logger(logger_name="kfx.kube")


class Credentials:
    """One API server and how to be let in. Its text form holds no secret.

    ``server`` is a URL without trailing slash, ``namespace`` the context's (``""`` if it names none).
    """

    def __init__(
        self,
        server: str,
        *,
        tls: Tls | None = None,
        tokens: TokenSource | None = None,
        namespace: str = "",
        service_account: Path = SERVICE_ACCOUNT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self.namespace = namespace
        self._tls = tls or Tls()
        self._tokens = tokens or StaticToken("")
        self._service_account = service_account
        self._now = now
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp = ()
        self._checked_at = 0.0

    def __repr__(self) -> str:
        return f"Credentials({self.server!r})"

    @property
    def server_name(self) -> str | None:
        """The name to look for in the server's certificate, where it is not the URL's host."""
        return self._tls.server_name

    def own_namespace(self) -> str | None:
        """The namespace this pod runs in; ``None`` outside a cluster."""
        try:
            return (self._service_account / "namespace").read_text("utf-8").strip() or None
        except OSError:
            return None

    async def token(self) -> str:
        """The bearer token to send, ``""`` for none; raises :class:`CredentialsError`."""
        return await self._tokens.token()

    async def token_after(self, refused: str) -> str:
        """The token to try after a 401: fetched anew, ``""`` when there is no other than ``refused``."""
        self._tokens.expire()
        found = await self._tokens.token()
        return "" if found == refused else found

    async def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, made anew once a certificate file was replaced; ``None`` for plain HTTP.

        Raises :class:`CredentialsError` at first; later the old context stands while files are unusable.
        """
        if not self.server.startswith("https:"):
            return None
        if self._context is None:
            self._checked_at = self._now()
            self._stamp, self._context = await asyncio.to_thread(self._load)
        elif self._now() - self._checked_at >= CERTIFICATE_LIFE:
            self._checked_at = self._now()
            await self._reload()
        return self._context

    async def _reload(self) -> None:
        if await asyncio.to_thread(self._tls.stamp) == self._stamp:
            return
        try:
            self._stamp, self._context = await asyncio.to_thread(self._load)
        except CredentialsError as failed:
            log.warning("replaced certificates cannot be used; keeping the old ones", error=str(failed))

    def _load(self) -> tuple[Stamp, ssl.SSLContext]:
        stamp = self._tls.stamp()  # before reading: a change in between is seen the next time
        return stamp, self._tls.context()


def load_credentials(
    kubeconfig: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
    home: Path | None = None,
    home_first: bool = False,
) -> Credentials:
    """The credentials of the first that is there: ``kubeconfig``, $KUBECONFIG, the pod's, ~/.kube/config.

    ``home_first``: ~/.kube/config before the pod's, as a person expects it (client-go's ``clientcmd``).
    $KUBECONFIG may list several files. Reads files, so it is meant for the start of the process.
    Raises :class:`CredentialsError`.
    """
    if kubeconfig:
        file = Path(kubeconfig).expanduser()
        if not file.exists():
            raise CredentialsError(f"{file}: there is no such kubeconfig; correct --kubeconfig")
        return _from_files([file], service_account)
    if listed := environ.get("KUBECONFIG"):
        files = [Path(part).expanduser() for part in listed.split(os.pathsep) if part]
        if not any(file.exists() for file in files):
            raise CredentialsError(f"$KUBECONFIG: {listed}: there is no such file; correct or unset it")
        return _from_files(files, service_account)
    file = (home or Path.home()) / ".kube" / "config"
    in_pod = environ.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists()
    if in_pod and not (home_first and file.exists()):
        return _in_cluster(environ, service_account)
    if file.exists():
        return _from_files([file], service_account)
    raise CredentialsError(
        f"no API server known: no --kubeconfig, no $KUBECONFIG, no {file}, and not in a pod with a service "
        "account; give --kubeconfig FILE"
    )


def _in_cluster(environ: Mapping[str, str], service_account: Path) -> Credentials:
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    name = f"[{host}]" if ":" in host else host
    return Credentials(
        f"https://{name}:{port}",
        tls=Tls(ca=Material("service account: ca.crt", path=service_account / "ca.crt")),
        tokens=TokenFile(service_account / "token", origin="service account: token"),
        service_account=service_account,
    )


def _from_files(files: list[Path], service_account: Path) -> Credentials:
    chosen = select_context(files)
    server, tls = chosen.server(), chosen.tls()
    if tls.insecure:
        log.warning("the API server's certificate is not checked", kubeconfig=str(chosen.cluster.file))
    tls.context()  # wrong certificates are told at once, with file and field
    tokens = _tokens_of(chosen.user) if chosen.user else None
    if tokens and server.startswith("http:"):
        _refuse_plain_token(chosen)
    return Credentials(
        server, tls=tls, tokens=tokens, namespace=chosen.namespace, service_account=service_account
    )


def _tokens_of(user: Entry) -> TokenSource | None:
    """The user's way to a token; a file wins over inline text, as in client-go."""
    if path := user.path("tokenFile"):
        return TokenFile(path, origin=user.origin("tokenFile"))
    if token := user.text("token"):
        return StaticToken(token)
    for key in ("exec", "auth-provider"):
        if user.fields.get(key):
            return PluginToken(user.fields, origin=user.origin(key))
    return None


def _refuse_plain_token(chosen: Selection) -> None:
    raise CredentialsError(
        f"{chosen.cluster.origin('server')}: the token would be sent unencrypted; use https://"
    )
