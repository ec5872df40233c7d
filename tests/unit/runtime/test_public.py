"""What an operator's author may import: it is all there, it is explained, and it costs nothing unused."""

import ast
import asyncio
import inspect
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import kfx.kube
import kfx.runtime
from docs.examples.echo import ConfigMap, Echo, add_to
from kfx.kube import Credentials
from kfx.runtime import AlwaysLeader, LeadershipLost, Operator
from tests.serving import get, hearing

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8")
HEAVY = {"aiohttp", "cryptography", "prometheus_client"}
PACKAGES = (kfx.kube, kfx.runtime)
EXPORTED = [(package.__name__, name) for package in PACKAGES for name in package.__all__]
ALIASES = {"Predicate"}  # a type's other name holds no text of its own


@pytest.mark.parametrize(("package", "name"), EXPORTED)
def test_every_exported_name_is_there_and_has_a_docstring(package: str, name: str) -> None:
    found = getattr(import_module(package), name)
    if name not in ALIASES:
        assert inspect.isclass(found) or inspect.isroutine(found)
        text = found.__doc__ or ""
        assert text
        assert not text.startswith(f"{name}("), "the text that dataclass makes up"


@pytest.mark.parametrize(("package", "name"), EXPORTED)
def test_every_exported_name_is_explained_to_authors(package: str, name: str) -> None:
    assert re.search(rf"`{name}`", GUIDE)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_and_programs_see_the_same_names(package: ModuleType) -> None:
    tree = ast.parse(Path(inspect.getfile(package)).read_text(encoding="utf-8"))
    checked = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    loaded = {name: f"{package.__name__}.{home}" for name, home in package._HOMES.items()}
    assert loaded == checked
    assert sorted(loaded) == sorted(package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_misspelt_name_is_refused_as_anywhere(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Contoller'"):
        package.Contoller  # noqa: B018


def loaded_after(statement: str) -> set[str]:
    """The modules that a new process has loaded after ``statement``."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(ran.stdout.split())


def test_importing_the_packages_loads_nothing_heavy() -> None:
    found = loaded_after("import kfx.runtime, kfx.kube; dir(kfx.runtime)")
    assert {name for name in found if name.startswith("kfx.")} == {"kfx.kube", "kfx.runtime"}
    assert not found & HEAVY


def test_what_a_decision_needs_loads_nothing_heavy() -> None:
    found = loaded_after(
        "from kfx.kube import KubeObject, Resource; from kfx.runtime import Plan, Request, Result"
    )
    assert "kfx.runtime.plan" in found
    assert not found & HEAVY


def test_the_guide_shows_the_example_that_is_tested() -> None:
    (shown,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert shown == (ROOT / "docs" / "examples" / "echo.py").read_text(encoding="utf-8")


@pytest.mark.real_time
async def test_an_operator_writes_nothing_before_it_leads() -> None:
    async with (
        hearing() as (url, received),
        Operator.connect(Credentials(url), "mine", lease_namespace="ns") as operator,
    ):
        with pytest.raises(LeadershipLost, match="does not hold lease mine"):
            await operator.client.create(Echo.resource, {"metadata": {"name": "e"}}, namespace="ns")
    assert received == b""


@pytest.mark.real_time
async def test_without_a_lease_the_operator_leads() -> None:
    async with Operator.connect(Credentials("http://127.0.0.1:1"), "mine") as operator:
        assert isinstance(operator.elector, AlwaysLeader)


@pytest.mark.real_time
async def test_an_operator_is_not_ready_before_it_has_read_what_it_looks_after() -> None:
    async with Operator.connect(Credentials("http://127.0.0.1:1"), "mine") as operator:
        assert operator.ready() is None
        add_to(operator)
        problem = operator.ready() or ""
    assert [str(kind.resource) in problem for kind in (Echo, ConfigMap)] == [True, True]


@pytest.mark.real_time
async def test_an_operator_shows_what_it_is_at_measures_its_loop_and_lingers_when_it_stops() -> None:
    async with Operator.connect(Credentials("http://127.0.0.1:1"), "mine") as operator:
        add_to(operator)
        debug, stop, loop = operator.debug_server("127.0.0.1:0"), asyncio.Event(), asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(operator.run(stop, servers=[debug], shutdown_delay=0.3))
            await asyncio.sleep(0.25)
            assert debug.bound is not None
            for page, shown in (
                ("queues", b"\necho "),
                ("caches", b"\nechoes.example.org"),
                ("tasks", b"loop-lag"),
            ):
                assert shown in (await get(debug.bound[1], f"/debug/{page}", host="localhost")).body
            assert operator.alive() is None
            assert operator.metrics.registry.get_sample_value("kfx_loop_lag_seconds_count") >= 1
            stop.set()
            stopped_at = loop.time()
            assert operator.ready() == "shutting down"
            assert (await get(debug.bound[1], "/debug/queues", host="localhost")).status == 200
            await running
            assert loop.time() - stopped_at >= 0.3


@pytest.mark.real_time
async def test_a_loop_that_was_blocked_for_long_makes_an_operator_unwell() -> None:
    async with Operator.connect(Credentials("http://127.0.0.1:1"), "mine") as operator:
        operator._loop_lag._limit = 0.1
        async with operator._loop_lag.running():
            await asyncio.sleep(0)
            time.sleep(0.3)
            assert "the event loop was blocked for" in (operator.alive() or "")
