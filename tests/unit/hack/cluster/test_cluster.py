"""The command line, as far as it needs no cluster."""

from pathlib import Path

import pytest

from hack.cluster import cluster, lifecycle
from hack.cluster.layout import Layout


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("KFX_CACHE", str(tmp_path))
    return tmp_path


def test_status_of_no_cluster_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main(["status", "--index", "201"]) == 3
    assert capsys.readouterr().out == "there is no cluster kfx-201\n"


@pytest.mark.parametrize("command", ["env", "kubeconfig"])
def test_what_needs_a_cluster_says_how_to_get_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main([command, "--index", "201"]) == 1
    assert "bring it up first (up --index 201)" in capsys.readouterr().err


def test_down_without_a_cluster_is_no_error(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main(["down", "--index", "201"]) == 0
    assert "there is no cluster kfx-201" in capsys.readouterr().err
    assert list(cache.iterdir()) == []


def test_an_index_out_of_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main(["status", "--index", "256"]) == 1
    assert "--index 256" in capsys.readouterr().err


def test_loading_into_no_node_names_the_remedy(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "image.tar").touch()
    assert cluster.main(["load", "--index", "201", str(cache / "image.tar")]) == 1
    assert "bring it up with --flavour node" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400)])
def test_durations_have_a_unit(text: str, seconds: int) -> None:
    assert cluster.parse_duration(text) == seconds


@pytest.mark.parametrize("words", [["--duration", "1d"], ["--duration", ""], []])
def test_a_bad_or_incomplete_command_ends_with_status_2(words: list[str]) -> None:
    account = ["--namespace", "n", "--serviceaccount", "s"] + (["--out", "f"] if words else [])
    with pytest.raises(SystemExit) as ended:
        cluster.main(["token-kubeconfig", *account, *words])
    assert ended.value.code == 2


def test_an_unlinked_cluster_stays_unlinked_for_root(cache: Path) -> None:
    folder = Layout(201, cache).folder
    folder.mkdir()
    (folder / lifecycle.STATE_FILE).write_text('{"flavour": "control-plane", "linked": false}')
    assert cluster.find_layout(201).linked is False


@pytest.mark.parametrize("state", ["", "[]", "null", '{"flavour": "node"}', '{"unknown": 1}'])
def test_a_spoilt_state_file_means_no_cluster(cache: Path, state: str) -> None:
    (cache / lifecycle.STATE_FILE).write_text(state)
    assert lifecycle.load_options(cache) is None


def test_logs_are_listed_and_printed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Layout(201, cache).logs / "etcd.log"
    log.parent.mkdir(parents=True)
    log.write_text("hello\n")
    assert cluster.main(["logs", "--index", "201"]) == 0
    assert cluster.main(["logs", "--index", "201", "etcd"]) == 0
    assert capsys.readouterr().out == f"{log}\nhello\n"
    assert cluster.main(["logs", "--index", "201", "nothing"]) == 1
