"""One platform and one kfx for all end-to-end tests; skipped, with the reason, where a node cannot run."""

from collections.abc import Iterator

import pytest

from hack.run.cluster import check_machine
from hack.run.errors import RunError
from tests.e2e.platform import Platform, running_platform, stop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an end-to-end test."""
    for item in items:
        if "tests/e2e/" in item.nodeid:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A cluster with a node, and everything kfx needs in it, but no kfx."""
    try:
        check_machine()
    except RunError as error:
        pytest.skip(f"e2e: {error}")
    with running_platform(tmp_path_factory.mktemp("platform")) as found:
        yield found


@pytest.fixture(scope="module")
def kfx(platform: Platform) -> Iterator[Platform]:
    """The platform with one kfx that is ready and not patient; afterwards it must end with status 0."""
    process = platform.start_kfx("--metrics-wait=10s", "--image-wait=10s")
    try:
        platform.wait_until_ready()
        yield platform
    finally:
        platform.replicas.remove(process)
        statuses = stop([process])
    assert statuses == [0], f"see {platform.log}"
