"""The TLS side of credentials: which certificates, and a context made of them."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Stamp = tuple[tuple[int, int, int] | None, ...]


class CredentialsError(Exception):
    """Credentials that cannot be used; the text names file, field and remedy, never a secret."""


@dataclass(frozen=True, slots=True)
class Material:
    """PEM text, given inline or as a file that may be replaced at any time.

    ``origin`` names file and field for error texts.
    """

    origin: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """The PEM text; raises :class:`CredentialsError` when the file cannot be read."""
        if self.path is None:
            return self.data or b""
        try:
            return self.path.read_bytes()
        except OSError as failed:
            raise CredentialsError(
                f"{self.origin}: cannot read {self.path}: {failed.strerror}; "
                "correct the path or its permissions"
            ) from None

    def stamp(self) -> tuple[int, int, int] | None:
        """What differs once the file has been replaced; ``None`` for inline text and lost files."""
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust and how to show who we are. ``server_name`` replaces the URL's host in the check."""

    ca: Material | None = None
    certificate: Material | None = None
    key: Material | None = None
    insecure: bool = False
    server_name: str | None = None

    def stamp(self) -> Stamp:
        """What differs once any file has been replaced."""
        return tuple(m.stamp() for m in (self.ca, self.certificate, self.key) if m is not None)

    def context(self) -> ssl.SSLContext:
        """A new context (TLS 1.2 and up); reads files, so it may block.

        Raises :class:`CredentialsError`. Private keys leave no file behind.
        """
        found = self._trust()
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.insecure:
            found.check_hostname = False
            found.verify_mode = ssl.CERT_NONE
        if self.certificate is not None and self.key is not None:
            _load_chain(found, self.certificate, self.key)
        return found

    def _trust(self) -> ssl.SSLContext:
        if self.ca is None:
            return ssl.create_default_context()
        text = self.ca.read().decode("ascii", "ignore")  # comments may be in any language
        try:
            # an empty text would mean the system's authorities
            found = ssl.create_default_context(cadata=text.strip() or "none")
        except (ssl.SSLError, ValueError):
            raise CredentialsError(
                f"{self.ca.origin}: no PEM certificate in it; give the cluster's CA certificate"
            ) from None
        # on from Python 3.13 the default refuses authorities that Go accepts and clusters have
        found.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return found


def _load_chain(context: ssl.SSLContext, certificate: Material, key: Material) -> None:
    chain = certificate.read().rstrip() + b"\n" + key.read()
    with _as_file(chain) as path:
        try:
            context.load_cert_chain(path, password=_refuse_password)
        except (ssl.SSLError, ValueError):
            raise CredentialsError(
                f"{certificate.origin} and {key.origin}: not a PEM certificate with its unencrypted key; "
                "give a pair that belongs together"
            ) from None


def _refuse_password() -> bytes:
    raise ValueError("the key is encrypted")


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path to read ``data`` from while the block lasts; in memory where the system can do that."""
    if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile(prefix="pem-") as file:
        file.write(data)
        file.flush()
        yield file.name
