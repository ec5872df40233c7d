"""Sends the values to the observation store, patiently: a trial's result is hours of work."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from kfx.collector.errors import CollectorError

METHOD = "/api.v1.beta1.DBManager/ReportObservationLog"

CALL_SECONDS = 30.0

GIVE_UP_SECONDS = 330.0
"""How long a store may be away: longer than the restart of a node's pods, with an image to pull."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Send = Callable[[bytes], None]


class Unreachable(Exception):
    """The store did not take the request now; it may later."""


class Refused(Exception):
    """The store will not take the request, however often it is sent."""


def own_namespace(file: Path = SERVICE_ACCOUNT_NAMESPACE) -> str:
    """The pod's namespace, from POD_NAMESPACE or its service account; ``""`` where neither tells."""
    named = os.environ.get("POD_NAMESPACE", "")
    if named:
        return named
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def report(
    requests: Iterable[bytes],
    send: Send,
    *,
    address: str,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Sends every request, in order, each until it is taken. Raises CollectorError.

    Sending a request again is safe: a store that has it already does not double it.
    """
    for request in requests:
        deadline = clock() + GIVE_UP_SECONDS
        pause = FIRST_PAUSE
        while True:
            try:
                send(request)
                break
            except Refused as error:
                raise CollectorError(f"{address} (-s-db) refused the report: {error}") from None
            except Unreachable as error:
                if clock() >= deadline:
                    raise CollectorError(_away(address, error)) from None
            sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def _away(address: str, error: Exception) -> str:
    return (
        f"cannot report to {address} (-s-db) for {GIVE_UP_SECONDS:.0f} s: {error}; check that kfx runs, "
        "that Service katib-db-manager has endpoints, and that no NetworkPolicy keeps this pod from it"
    )


class Channel:
    """A gRPC channel to the store, for use in a ``with``. gRPC is loaded only here, at the end of the
    training: it takes more memory than everything else."""

    def __init__(self, address: str, namespace: str) -> None:
        import grpc  # noqa: PLC0415

        self._grpc = grpc
        self._metadata = (("kfx-namespace", namespace),) if namespace else ()
        self._channel = grpc.insecure_channel(
            address,
            options=(
                ("grpc.enable_http_proxy", 0),  # the store is inside the cluster, whatever the pod's proxy
                ("grpc.max_reconnect_backoff_ms", 5_000),
                ("grpc.dns_min_time_between_resolutions_ms", 1_000),
            ),
        )
        self._call: Callable[..., object] = self._channel.unary_unary(METHOD)

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def send(self, request: bytes) -> None:
        """One attempt. Raises Unreachable or Refused."""
        codes = self._grpc.StatusCode
        # Everything else may pass: Katib's database manager tells any trouble of its database as UNKNOWN.
        lasting = {
            codes.INVALID_ARGUMENT,
            codes.UNIMPLEMENTED,
            codes.UNAUTHENTICATED,
            codes.PERMISSION_DENIED,
            codes.FAILED_PRECONDITION,
        }
        try:
            self._call(request, timeout=CALL_SECONDS, metadata=self._metadata)
        except self._grpc.RpcError as error:
            text = f"{error.code().name}: {error.details()}"
            raise (Refused if error.code() in lasting else Unreachable)(text) from None
