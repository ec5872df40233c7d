"""The throw-away cluster, as far as it can be seen without one."""

import pytest

from hack.cluster import prerequisites
from hack.cluster.prerequisites import Lack
from hack.run.cluster import check_machine, parse_assignments
from hack.run.errors import RunError


def test_shell_assignments_are_read_with_their_quotes() -> None:
    text = "KFX_HOST_IP=10.77.0.1\nKFX_LOGS='/tmp/a b/logs'\nKFX_EMPTY=''\n"
    assert parse_assignments(text) == {
        "KFX_HOST_IP": "10.77.0.1",
        "KFX_LOGS": "/tmp/a b/logs",
        "KFX_EMPTY": "",
    }


def _machine(monkeypatch: pytest.MonkeyPatch, *lacks: Lack, root: bool) -> None:
    monkeypatch.setattr(prerequisites, "check", lambda *, node: list(lacks) if node else [])
    monkeypatch.setattr(prerequisites, "is_root", lambda: root)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


RUNC = Lack("the program runc", "apt-get install runc", "runc")
KERNEL = Lack("namespaces", "the kernel refuses them")


def test_what_root_can_install_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, RUNC, root=True)
    check_machine()


@pytest.mark.parametrize(("lack", "root"), [(RUNC, False), (KERNEL, True)])
def test_what_stays_missing_is_named_and_another_cluster_offered(
    monkeypatch: pytest.MonkeyPatch, lack: Lack, root: bool
) -> None:
    _machine(monkeypatch, lack, root=root)
    with pytest.raises(RunError, match="make run KUBECONFIG=") as refused:
        check_machine()
    assert str(lack) in str(refused.value)
