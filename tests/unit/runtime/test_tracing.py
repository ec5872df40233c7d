"""Spans are an extra: without its packages the way to them is told."""

import sys

import pytest

from kfx.runtime.tracing import PACKAGES, TracingUnavailable, check_installed, recording_spans


def test_with_the_packages_there_is_nothing_to_say() -> None:
    check_installed()


@pytest.mark.parametrize("missing", [*PACKAGES, "opentelemetry"])
async def test_a_missing_package_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [each for each in sys.modules if each.startswith(missing)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    remedy = r"opentelemetry.* is not installed: pip install 'kfx\[otel\]'"
    with pytest.raises(TracingUnavailable, match=remedy):
        async with recording_spans("kfx", "1"):
            pass
