"""Heads of requests that came before, and what aiohttp's parser made of them.

A client asks the same again and again: of the API server's requests to a webhook only the length differs. The
same bytes mean the same request, so a head that is known to the byte need not be parsed once more. It is only
kept where it is, to the byte, what the message would be written as: so nobody can have another kept for it.
"""

from dataclasses import dataclass

from aiohttp.http_parser import RawRequestMessage

LONGEST = 1024
"""Bytes of a head that is kept; with all that was parsed, up to 27 kilobytes."""
MOST = 128
"""Heads that are kept."""

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """``message`` has a body of known length. ``start``: where that begins; ``size``: of both, in bytes."""

    message: RawRequestMessage
    start: int
    size: int


def head_size(request: bytes) -> int:
    """Bytes of a request before its body; its whole head must be there."""
    return request.find(_END) + len(_END)


def is_written_as(head: bytes, message: RawRequestMessage) -> bool:
    """Whether the head is the one way of writing the message that most clients use."""
    lines = [f"{message.method} {message.path} HTTP/1.1".encode("utf-8", "surrogateescape")]
    lines += [b"%b: %b" % header for header in message.raw_headers]
    return head == b"\r\n".join([*lines, b"", b""])


class KnownHeads:
    """Those of one server. Once there are too many, all are forgotten: the usual ones are soon back."""

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}

    def find(self, request: bytes) -> KnownHead | None:
        """That of a request whose first bytes these are."""
        end = request.find(_END, 0, LONGEST)
        return self._known.get(request[: end + len(_END)]) if end > 0 else None

    def learn(self, head: bytes, known: KnownHead) -> None:
        """From now on :meth:`find` knows it, unless it is long."""
        if len(head) > LONGEST:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[head] = known
