"""Fixtures of all tests."""

import sys

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_go_to_standard_error() -> None:
    """Standard output is for what a program says to its user; some tests read it."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
