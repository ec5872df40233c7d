"""Listen addresses as flags give them, and the sockets bound to them."""

import asyncio
import errno
import ipaddress
import socket
from dataclasses import dataclass

BACKLOG = 1024


class InvalidAddress(ValueError):
    """A flag's text is no listen address; the text names the flag and the form expected."""


class ListenError(OSError):
    """A socket could not be bound; the text names the address, the flag and the remedy."""

    def __init__(self, address: "Address", flag: str, problem: str) -> None:
        super().__init__(f"cannot listen on {address} ({flag}): {problem}")
        self.address = address
        self.flag = flag


class AddressInUse(ListenError):
    """Something listens on the port already."""

    def __init__(self, address: "Address", flag: str) -> None:
        super().__init__(
            address,
            flag,
            "address already in use. Stop what listens there "
            f"(ss -ltnp 'sport = :{address.port}') or choose another port with {flag}",
        )


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. An empty ``host`` means every interface, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, flag: str) -> Address | None:
    """Read ``host:port``, ``:port`` or ``[v6]:port``; ``"0"`` and ``""`` mean off and give None.

    Raises InvalidAddress.
    """
    if text in ("", "0"):
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        raise InvalidAddress(_expected(text, flag))
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidAddress(_expected(text, flag))
    return Address(host[1:-1] if bracketed else host, int(port))


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address without brackets, can only mean this machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _expected(text: str, flag: str) -> str:
    return f"{flag}: {text[:80]!r} is no address: write host:port or :port, such as :8080, or 0 for none"


async def bind(address: Address, *, flag: str) -> socket.socket:
    """A listening, non-blocking socket; on every interface it takes IPv4 and IPv6.

    Raises AddressInUse, or ListenError for any other reason.
    """
    try:
        family, host = await _resolve(address)
    except socket.gaierror as failed:
        raise ListenError(address, flag, f"unknown host ({failed.strerror}); name one with {flag}") from None
    try:
        return _listen(family, host, address.port)
    except OSError as failed:
        raise _explain(failed, address, flag) from None


async def _resolve(address: Address) -> tuple[int, str]:
    if not address.host:
        return (socket.AF_INET6, "::") if _dual_stack() else (socket.AF_INET, "0.0.0.0")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    # Go prefers IPv4 where a name has both
    family, *_, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, str(where[0])


def _dual_stack() -> bool:
    """Whether one socket can take both families; a kernel may know IPv6 and yet have it switched off."""
    if not socket.has_dualstack_ipv6():
        return False
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
        try:
            trial.bind(("::", 0))
        except OSError:
            return False
    return True


def _listen(family: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _explain(failed: OSError, address: Address, flag: str) -> ListenError:
    if failed.errno == errno.EADDRINUSE:
        return AddressInUse(address, flag)
    if failed.errno == errno.EACCES:
        return ListenError(
            address,
            flag,
            f"permission denied: ports below 1024 are reserved. Choose a higher one with {flag}",
        )
    if failed.errno == errno.EADDRNOTAVAIL:
        return ListenError(address, flag, f"no interface here has that address. Choose another with {flag}")
    return ListenError(address, flag, failed.strerror or str(failed))
