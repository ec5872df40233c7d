"""An Experiment is read, checked and submitted, and a refusal is told with its remedy."""

from pathlib import Path
from typing import Any, cast

import pytest

from hack.run.errors import RunError
from hack.run.experiment import read_experiment, refusal, submit
from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, ApiError, BadRequest, ServerError

HEAD = "apiVersion: kubeflow.org/v1beta1\nkind: Experiment\n"
MANIFEST = {"metadata": {"namespace": "default", "name": "e"}}


def _write(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "exactly one document"),
        (f"{HEAD}metadata: {{name: a}}\n---\n{HEAD}metadata: {{name: b}}\n", "found 2"),
        ("kind: Pod\napiVersion: v1\n", "found Pod of v1"),
        (HEAD, "metadata.name or metadata.generateName"),
        (HEAD + "metadata:\n", "metadata.name or metadata.generateName"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_file_that_holds_no_single_experiment_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(RunError, match=words) as refused:
        read_experiment(path)
    assert refused.value.status == 2
    assert f"EXPERIMENT={path}" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"missing\.yaml: No such file"):
        read_experiment(tmp_path / "missing.yaml")


def test_the_namespace_is_default_unless_stated(tmp_path: Path) -> None:
    silent = read_experiment(_write(tmp_path, HEAD + "metadata: {generateName: e-}\n"))
    assert silent["metadata"] == {"generateName": "e-", "namespace": "default"}
    stated = read_experiment(_write(tmp_path, HEAD + "metadata: {name: e, namespace: team}\n"))
    assert stated["metadata"]["namespace"] == "team"


def _error(kind: type[ApiError], message: str, status: int) -> ApiError:
    return kind(message, status=status, method="POST", path="/x")


def test_a_denial_is_told_in_the_words_of_the_webhook() -> None:
    message = (
        'admission webhook "validator.experiment.katib.kubeflow.org" denied the request: no such algorithm'
    )
    told = refusal(_error(BadRequest, message, 400), MANIFEST)
    assert told == "Experiment default/e was refused at admission:\nno such algorithm"


def test_a_taken_name_comes_with_two_ways_out() -> None:
    told = refusal(_error(AlreadyExists, "exists", 409), MANIFEST)
    assert "kubectl delete experiment -n default e" in told
    assert "generateName" in told


class _Server:
    """Answers each create with the next of ``answers``."""

    def __init__(self, *answers: ApiError | dict[str, Any]) -> None:
        self.answers = list(answers)

    async def create(self, *_: object, **__: object) -> dict[str, Any]:
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer


CREATED = {"metadata": {"name": "e-x7"}}
UNREACHABLE = _error(ServerError, 'failed calling webhook "defaulter": x509: unknown authority', 500)


async def test_a_webhook_that_cannot_be_reached_yet_is_tried_again() -> None:
    server = _Server(UNREACHABLE, UNREACHABLE, CREATED)
    assert await submit(cast("Client", server), MANIFEST) == ("default", "e-x7")


async def test_a_webhook_that_stays_unreachable_ends_the_run() -> None:
    server = _Server(*[UNREACHABLE] * 100)
    with pytest.raises(RunError, match="unknown authority"):
        await submit(cast("Client", server), MANIFEST)
    assert server.answers


async def test_a_denial_is_not_tried_again() -> None:
    server = _Server(_error(BadRequest, "hook denied the request: no", 400), CREATED)
    with pytest.raises(RunError, match="refused at admission"):
        await submit(cast("Client", server), MANIFEST)
    assert server.answers == [CREATED]
