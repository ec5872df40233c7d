import asyncio

import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2

from kfx.services.health import PROBE_SECONDS, SUGGESTION, Health
from kfx.services.rpc import Call, RpcFailure
from kfx.store.errors import StoreError
from tests.unit.conftest import Clock

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def answers() -> None:
    pass


async def fails() -> None:
    raise StoreError("gone")


async def hangs() -> None:
    await asyncio.sleep(3600)


async def status(health: Health, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return int(health_pb2.HealthCheckResponse.FromString(await health.check(request, Call())).status)


@pytest.mark.parametrize("service", ["", "grpc.health.v1.Health", "manager.v1beta1.Suggestion"])
async def test_the_names_that_probes_ask_for_are_served(service: str) -> None:
    assert await status(Health(answers), service) == SERVING


async def test_another_name_is_not_found() -> None:
    with pytest.raises(RpcFailure) as raised:
        await status(Health(answers), "grpc.health.v1.1.Health")
    assert raised.value.code is StatusCode.NOT_FOUND


async def test_a_store_that_fails_is_not_serving_but_suggestions_are() -> None:
    assert await status(Health(fails), "") == NOT_SERVING
    assert await status(Health(fails), SUGGESTION) == SERVING


async def test_a_store_that_hangs_is_not_serving(clock: Clock) -> None:
    assert await status(Health(hangs), "") == NOT_SERVING
    assert clock == PROBE_SECONDS


async def test_a_request_that_is_none_is_an_invalid_argument() -> None:
    with pytest.raises(RpcFailure) as raised:
        await Health(answers).check(b"\x0a\xff", Call())
    assert raised.value.code is StatusCode.INVALID_ARGUMENT
