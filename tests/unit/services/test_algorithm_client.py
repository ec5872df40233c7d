"""Katib's own tests of its suggestion client (rows of 12.6), and what kfx does otherwise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import msgspec
import pytest
from grpc import StatusCode

from kfx.apis.common import AlgorithmSpec, NameValue
from kfx.apis.experiment import Experiment
from kfx.services import algorithm_client
from kfx.services.algorithm_client import AlgorithmClient, Endpoint, NoAnswer, Question, dial_cluster_ip
from tests.algorithm_service import AlgorithmService, Served, serving
from tests.katib_objects import experiment, trial

pytestmark = pytest.mark.real_time

ENDPOINT = Endpoint(address="10.96.0.7", host="e-random.ns")
TRIALS = [trial("Succeeded", name="e-1", value="0.1"), trial("Running", name="e-2")]
SUGGEST, VALIDATE = "GetSuggestions", "ValidateAlgorithmSettings"
VALIDATE_RULE, RULES = "ValidateEarlyStoppingSettings", "GetEarlyStoppingRules"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(AlgorithmService()) as found:
        yield found


@pytest.fixture
async def client(served: Served) -> AsyncIterator[AlgorithmClient]:
    made = AlgorithmClient(ENDPOINT, db_manager_address="katib-db-manager.kubeflow:6789", dial=served.dial)
    yield made
    await made.close()


def asked(*, stopping: bool = False, **changes: Any) -> Experiment:
    of = experiment("Created")
    if stopping:
        changes["early_stopping"] = AlgorithmSpec(
            algorithm_name="medianstop", algorithm_settings=(NameValue(name="start_step", value="5"),)
        )
    return msgspec.structs.replace(of, spec=msgspec.structs.replace(of.spec, **changes))


def question(of: Experiment | None = None, **more: Any) -> Question:
    given = {"trials": TRIALS, "start": 2, "count": 2, "requests": 6, **more}
    return Question(experiment=of or asked(), **given)


async def test_12_6_one_valid_run(client: AlgorithmClient, served: Served) -> None:
    """12.6.1: assignments with the rules of the second service, both told the same."""
    found = await client.propose(question(asked(stopping=True)))
    assert [a.parameter_assignments for a in found.assignments] == [
        (NameValue(name="x", value="0"),),
        (NameValue(name="x", value="1"),),
    ]
    (rule,) = found.assignments[0].early_stopping_rules
    assert (rule.name, rule.value, rule.comparison, rule.start_step) == ("loss", "0.5", "greater", 4)
    (ask,), (rules,) = served.service.of(SUGGEST), served.service.of(RULES)
    assert (ask.current_request_number, ask.total_request_number) == (2, 6)
    assert ask.experiment == rules.experiment
    assert list(ask.trials) == list(rules.trials)
    assert rules.db_manager_address == "katib-db-manager.kubeflow:6789"
    assert (found.start, found.requests, found.settings) == (2, 6, ())


async def test_settings_that_the_algorithm_changes_come_with_the_answer(
    client: AlgorithmClient, served: Served
) -> None:
    served.service.changes = {"s_max": "3"}
    assert (await client.propose(question())).settings == (NameValue(name="s_max", value="3"),)


@pytest.mark.parametrize(("method", "stopping"), [(SUGGEST, False), (RULES, True)])
async def test_12_6_a_call_that_fails_is_no_answer(
    client: AlgorithmClient, served: Served, method: str, stopping: bool
) -> None:
    """12.6.3, 12.6.5: nothing of what came before is used."""
    served.service.failures[method] = [(StatusCode.UNKNOWN, "Exception calling application: no")]
    with pytest.raises(NoAnswer) as caught:
        await client.propose(question(asked(stopping=stopping)))
    port = 6788 if stopping else 6789
    assert str(caught.value) == f"{method} at e-random.ns:{port}: UNKNOWN: Exception calling application: no"
    assert not caught.value.passing


async def test_more_assignments_than_asked_for_are_no_answer(client: AlgorithmClient, served: Served) -> None:
    served.service.surplus = 1
    with pytest.raises(NoAnswer, match=r"^The response contains unexpected trials$"):
        await client.propose(question())


@pytest.mark.parametrize(
    ("name", "problem"),
    [("e-1", "the trial name 'e-1' is taken already"), ("../e", "'../e' can name no trial .*")],
)
async def test_an_answer_with_a_name_that_cannot_be_is_no_answer(
    client: AlgorithmClient, served: Served, name: str, problem: str
) -> None:
    """R 3.4 D5."""
    served.service.trial_name = name
    with pytest.raises(NoAnswer, match=f"^The response contains unexpected trials: {problem}$") as caught:
        await client.propose(question(count=1))
    assert not caught.value.passing


async def test_fewer_assignments_than_asked_for_are_an_answer(
    client: AlgorithmClient, served: Served
) -> None:
    served.service.size = 1
    assert len((await client.propose(question())).assignments) == 1
    assert (await client.propose(question(asked(stopping=True)))).assignments == ()
    assert served.service.of(RULES) == []


@pytest.mark.parametrize("method", [VALIDATE, VALIDATE_RULE])
@pytest.mark.parametrize(
    ("code", "refused"),
    [
        (StatusCode.INVALID_ARGUMENT, True),
        (StatusCode.UNKNOWN, True),
        (StatusCode.INTERNAL, True),
        (StatusCode.UNIMPLEMENTED, False),
        (StatusCode.FAILED_PRECONDITION, False),
    ],
)
async def test_12_6_a_code_says_whether_settings_are_valid(
    client: AlgorithmClient, served: Served, method: str, code: StatusCode, refused: bool
) -> None:
    """12.6.6: and D9, INTERNAL is a refusal, too."""
    served.service.failures[method] = [(code, "seed is wrong")]
    found = await client.validate(asked(stopping=True))
    assert found == (f"{method} Error: seed is wrong" if refused else "")


@pytest.mark.parametrize("method", [VALIDATE, VALIDATE_RULE])
@pytest.mark.parametrize("code", [StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE])
async def test_12_6_no_answer_is_no_refusal(
    client: AlgorithmClient, served: Served, method: str, code: StatusCode
) -> None:
    """12.6.6, K29: D9."""
    served.service.failures[method] = [(code, "busy")]
    with pytest.raises(NoAnswer, match=f"{method} at e-random.ns:.*: {code.name}: busy") as caught:
        await client.validate(asked(stopping=True))
    assert caught.value.passing
    assert await client.validate(asked(stopping=True)) == ""


async def test_only_what_there_is_is_validated(client: AlgorithmClient, served: Served) -> None:
    assert await client.validate(asked()) == ""
    assert [name for name, _ in served.service.requests] == [VALIDATE]
    assert await client.validate(asked(stopping=True)) == ""
    (rule,) = served.service.of(VALIDATE_RULE)
    assert rule.early_stopping.algorithm_settings[0].name == "start_step"


async def test_one_channel_a_port_is_kept(client: AlgorithmClient, served: Served) -> None:
    for _ in range(3):
        await client.validate(asked(stopping=True))
        await client.propose(question(asked(stopping=True)))
    assert served.dialled == [(ENDPOINT, 6789), (ENDPOINT, 6788)]


async def test_a_deadline_ends_a_call_and_its_connection(
    client: AlgorithmClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(algorithm_client, "DEADLINE", 0.3)
    served.service.failures[SUGGEST] = [None]
    with pytest.raises(NoAnswer, match="DEADLINE_EXCEEDED") as caught:
        await client.propose(question())
    assert caught.value.passing
    monkeypatch.setattr(algorithm_client, "DEADLINE", 20)
    assert len((await client.propose(question())).assignments) == 2
    assert served.dialled == [(ENDPOINT, 6789)] * 2


async def test_a_service_that_nobody_answers_for_is_unavailable(unused_tcp_port: int) -> None:
    client = AlgorithmClient(
        ENDPOINT, db_manager_address="a:1", dial=lambda *_: f"ipv4:127.0.0.1:{unused_tcp_port}"
    )
    with pytest.raises(NoAnswer, match=r"GetSuggestions at e-random\.ns:6789: UNAVAILABLE") as caught:
        await client.propose(question())
    assert caught.value.passing
    await client.close()


async def test_validation_waits_for_a_pod_that_does_not_listen_yet(unused_tcp_port: int) -> None:
    client = AlgorithmClient(
        ENDPOINT, db_manager_address="a:1", dial=lambda *_: f"ipv4:127.0.0.1:{unused_tcp_port}"
    )
    async with asyncio.TaskGroup() as group:
        validating = group.create_task(client.validate(asked()))
        await asyncio.sleep(0.1)
        server = grpc.aio.server()
        server.add_insecure_port(f"127.0.0.1:{unused_tcp_port}")
        await server.start()
    assert validating.result() == ""  # such a method it does not have: UNIMPLEMENTED
    await client.close()
    await server.stop(None)


async def test_replies_beyond_grpcs_own_limit_are_read(client: AlgorithmClient, served: Served) -> None:
    """D30: 4 MiB would be one of about fifty thousand assignments."""
    found = await client.propose(question(count=200_000, requests=200_000, trials=()))
    assert len(found.assignments) == 1000
    served.service.changes = {"state": "x" * 5 * 2**20}
    assert len((await client.propose(question())).settings[0].value) == 5 * 2**20


async def test_a_long_list_of_trials_is_told_as_a_whole(client: AlgorithmClient, served: Served) -> None:
    many = [trial("Succeeded", name=f"e-{i}", value="1") for i in range(algorithm_client.BESIDE + 1)]
    await client.propose(question(trials=many))
    assert [t.name for t in served.service.of(SUGGEST)[0].trials] == [t.metadata.name for t in many]


async def test_bytes_that_are_no_reply_are_no_answer() -> None:
    class Garbage(AlgorithmService):
        async def get_suggestions(self, data: bytes, _call: Any) -> bytes:
            return b"\xff\xff"

    async with serving(Garbage()) as served:
        client = AlgorithmClient(ENDPOINT, db_manager_address="a:1", dial=served.dial)
        with pytest.raises(NoAnswer, match="not a GetSuggestionsReply"):
            await client.propose(question())
        await client.close()


@pytest.mark.parametrize(
    ("address", "target"), [("10.96.0.7", "ipv4:10.96.0.7:6789"), ("fd00::7", "ipv6:[fd00::7]:6789")]
)
def test_the_cluster_ip_is_dialled(address: str, target: str) -> None:
    assert dial_cluster_ip(Endpoint(address=address, host="e.ns"), 6789) == target


async def test_the_services_name_is_the_authority() -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\4\0\0\0\0\0")  # an empty SETTINGS frame, for which gRPC waits
        while b"GetSuggestions" not in heard:
            heard.extend(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = AlgorithmClient(ENDPOINT, db_manager_address="a:1", dial=lambda *_: f"ipv4:127.0.0.1:{port}")
    with pytest.raises(NoAnswer):
        await client.propose(question())
    await client.close()
    server.close()
    await server.wait_closed()
    assert b"e-random.ns:6789" in heard
