"""TLS contexts: what a server offers, and how a new pair goes live without breaking a handshake.

``load_cert_chain`` on a context in use breaks it when the files do not fit together. So a pair is loaded
into a context of its own first, and each handshake is pointed to the newest good one.
"""

import asyncio
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from kfx.runtime.pki import CertificateError, Pair

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of 1.3 are all of this kind."""


def server_context() -> ssl.SSLContext:
    """TLS 1.2 or newer with forward secrecy, HTTP/1.1 by ALPN; no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def load_pair(pair: Pair) -> ssl.SSLContext:
    """A server context with this pair. Raises CertificateError if the two do not belong together."""
    context = server_context()
    with _as_file(pair.cert_pem + b"\n" + pair.key_pem) as path:
        try:
            # an encrypted key would otherwise ask for its password at the terminal
            context.load_cert_chain(path, password="")
        except (ssl.SSLError, OSError, ValueError) as failed:
            reason = getattr(failed, "reason", None) or type(failed).__name__
            raise CertificateError(f"certificate and key cannot be loaded: {reason}") from None
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The content under a path that only this process can read: OpenSSL takes files only."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pair")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name


class LiveContext:
    """The context handed to a server once; what it presents may change at any time."""

    def __init__(self) -> None:
        self._current: ssl.SSLContext | None = None
        self.context = server_context()
        self.context.sni_callback = self._choose

    def present(self, context: ssl.SSLContext) -> None:
        """From the next handshake on use the pair in ``context`` (of :func:`load_pair`)."""
        self._current = context

    def _choose(
        self, connection: ssl.SSLObject, server_name: str | None, initial: ssl.SSLContext
    ) -> int | None:
        # OpenSSL asks at every handshake, with a server name or without
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


@dataclass(frozen=True, slots=True)
class Verifier:
    """How a client makes sure that it talks to the server of one pair."""

    context: ssl.SSLContext
    server_name: str


def verifier_of(pair: Pair, server_name: str = "") -> Verifier:
    """Trusts the pair's authorities and nothing else; without ``server_name`` any name will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = bool(server_name)
    # an authority may be the server's own certificate
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pair.bundle.decode("ascii"))
    return Verifier(context, server_name)


DIAL_TIMEOUT = 10.0
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


async def dial(bound: tuple[str, int], verifier: Verifier | None) -> str | None:
    """Connect to the own server, complete the handshake, leave. Why it failed; None if it did not."""
    if verifier is None:
        return "no certificate yet"
    host, port = _LOOPBACK.get(bound[0], bound[0]), bound[1]
    try:
        async with asyncio.timeout(DIAL_TIMEOUT):
            _, writer = await asyncio.open_connection(
                host, port, ssl=verifier.context, server_hostname=verifier.server_name or host
            )
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        return f"TLS to port {port} of this process took longer than {DIAL_TIMEOUT:g} s"
    except OSError as failed:
        return f"TLS to port {port} of this process failed: {failed.strerror or failed}"
    return None
