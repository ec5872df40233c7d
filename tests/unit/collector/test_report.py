from pathlib import Path

import pytest

from kfx.collector.errors import CollectorError
from kfx.collector.report import GIVE_UP_SECONDS, LONGEST_PAUSE, Refused, Unreachable, own_namespace, report


class Store:
    """Fails as long as its script says so; every sleep advances its clock."""

    def __init__(self, *failures: Exception, away_until: float = 0.0) -> None:
        self.failures = list(failures)
        self.away_until = away_until
        self.taken: list[bytes] = []
        self.now = 0.0
        self.pauses: list[float] = []

    def send(self, request: bytes) -> None:
        if self.now < self.away_until:
            raise Unreachable("UNAVAILABLE: connection refused")
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(request)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def report(self, *requests: bytes) -> None:
        report(requests, self.send, address="db:6789", sleep=self.sleep, clock=lambda: self.now)


def test_requests_are_sent_in_order() -> None:
    store = Store()
    store.report(b"1", b"2", b"3")
    assert store.taken == [b"1", b"2", b"3"]
    assert store.pauses == []


def test_a_request_is_sent_again_until_it_is_taken() -> None:
    store = Store(Unreachable("a"), Unreachable("b"))
    store.report(b"1", b"2")
    assert store.taken == [b"1", b"2"]
    assert store.pauses == [0.5, 1.0]


def test_a_store_that_is_away_for_five_minutes_gets_the_report() -> None:
    store = Store(away_until=300.0)
    store.report(b"1")
    assert store.taken == [b"1"]
    assert max(store.pauses) == LONGEST_PAUSE


def test_a_store_that_stays_away_is_told_with_what_to_check() -> None:
    store = Store(away_until=3_600.0)
    with pytest.raises(
        CollectorError, match=r"cannot report to db:6789 \(-s-db\).*connection refused; check"
    ):
        store.report(b"1")
    assert GIVE_UP_SECONDS <= store.now < GIVE_UP_SECONDS + LONGEST_PAUSE


def test_every_request_has_its_own_patience() -> None:
    store = Store(away_until=300.0)
    store.report(b"1")
    store.away_until = store.now + 300.0
    store.report(b"2", b"3")
    assert store.taken == [b"1", b"2", b"3"]


def test_a_request_the_store_refuses_is_not_sent_again() -> None:
    store = Store(Refused("INVALID_ARGUMENT: no"))
    with pytest.raises(CollectorError, match=r"db:6789.* refused the report: INVALID_ARGUMENT: no"):
        store.report(b"1")
    assert store.pauses == []


def test_the_namespace_is_the_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    file = tmp_path / "namespace"
    assert own_namespace(file) == ""
    file.write_text("team-a\n")
    assert own_namespace(file) == "team-a"
    monkeypatch.setenv("POD_NAMESPACE", "team-b")
    assert own_namespace(file) == "team-b"
