"""From a request to its answer: slots, tokens, fence and what is worth repeating.

Stands between the client, which knows what to ask, and the transport, which knows how to send.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, cast

import msgspec

from kfx.kube import errors
from kfx.kube.credentials import CredentialsError
from kfx.kube.transport import REQUEST_TIMEOUT, Answer, ConnectionCut, Transport, before_send

MAX_ATTEMPTS = 10  # of a request that the server puts off with Retry-After (client-go's figure)

Observer = Callable[[str, str, str], None]


class Exchange:
    """Requests under one user agent, at most ``concurrency`` at once; watches are not counted."""

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str,
        fence: Callable[[], None] | None,
        observe: Observer | None,
        concurrency: int,
    ) -> None:
        self.transport = transport
        self.observe = observe
        self._user_agent = user_agent
        self._fence = fence
        self._slots = asyncio.Semaphore(concurrency)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of a 2xx answer."""
        content = None if body is None else msgspec.json.encode(body)
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        if content is not None:
            sent["Content-Type"] = content_type
        call = _Call(method, path, query or {}, sent, content)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT) as limit:
                return await self._attempts(call, deadline=cast("float", limit.when()))
        except TimeoutError:
            raise errors.TransportError(
                f"{method} {path}: no answer from {self.transport.server} within "
                f"{REQUEST_TIMEOUT:.0f} s; is it overloaded?"
            ) from None

    async def _attempts(self, call: "_Call", *, deadline: float) -> bytes:
        may_repeat_cut = call.method == "GET"
        attempt = 1
        while True:
            try:
                answer = await self._attempt(call)
            except ConnectionCut:
                if not may_repeat_cut:
                    raise
                may_repeat_cut = False
                continue
            if answer.status < 300:
                return answer.body
            wait = answer.retry_after if answer.status == 429 or answer.status >= 500 else None
            late = wait is None or asyncio.get_running_loop().time() + wait >= deadline
            if late or attempt >= MAX_ATTEMPTS:
                raise self._refusal(call.method, call.path, answer)
            attempt += 1
            await asyncio.sleep(wait or 0)

    async def _attempt(self, call: "_Call") -> Answer:
        """One answer; a refused token is replaced and tried once more."""
        async with self._slots:
            token = await self._token()
            answer = await self._send(call, token)
            if answer.status == 401 and (fresh := await self._token(refused=token)):
                answer = await self._send(call, fresh)
            return answer

    async def _send(self, call: "_Call", token: str) -> Answer:
        previous = before_send.set(None if call.method == "GET" else self._fence)
        code = "<error>"
        try:
            answer = await self.transport.request(
                call.method,
                call.path,
                query=call.query,
                headers={**self._identity(token), **call.headers},
                body=call.body,
            )
            code = str(answer.status)
            return answer
        finally:
            before_send.reset(previous)
            self._note(code, call.method)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The lines of a watch that the server has agreed to."""
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        token = await self._token()
        for last in (False, True):
            async with AsyncExitStack() as answered:
                code = "<error>"
                try:
                    status, lines, retry_after = await answered.enter_async_context(
                        self.transport.stream(path, query=query, headers={**self._identity(token), **sent})
                    )
                    code = str(status)
                finally:
                    self._note(code, "GET")
                if status < 300:
                    yield lines
                    return
                async with aclosing(lines):
                    body = b"\n".join([line async for line in lines])
            fresh = await self._token(refused=token) if status == 401 and not last else ""
            if not fresh:
                raise self._refusal("WATCH", path, Answer(status, body, retry_after))
            token = fresh

    async def _token(self, *, refused: str = "") -> str:
        try:
            if refused:
                return await self.transport.credentials.token_after(refused)
            return await self.transport.credentials.token()
        except CredentialsError as failed:
            raise errors.TransportError(str(failed)) from None

    def _identity(self, token: str) -> dict[str, str]:
        found = {"User-Agent": self._user_agent, "Accept": "application/json"}
        if token:
            found["Authorization"] = f"Bearer {token}"
        return found

    def _note(self, code: str, method: str) -> None:
        if self.observe is not None:
            self.observe(code, method, self.transport.host)

    def _refusal(self, method: str, path: str, answer: Answer) -> Exception:
        if answer.status < 400:
            return errors.TransportError(
                f"{method} {path}: {self.transport.server} answered {answer.status}, a redirect, "
                "which is not followed; give the API server's own URL"
            )
        return errors.error_from_status(
            answer.status, answer.body, method=method, path=path, retry_after=answer.retry_after
        )


class _Call(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None
