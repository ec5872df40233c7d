"""Fixtures of all tests."""

import signal
import sys

import pytest
import structlog


def pytest_configure() -> None:
    """Programs under test hear SIGINT, though a shell that runs all of this in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_go_to_standard_error() -> None:
    """Standard output is for what a program says to its user; some tests read it."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
