"""``docs/reference/metrics.md`` shows what the process shows."""

import pytest

from hack.generate import metrics
from kfx.controllers.gauges import KATIB_COUNTERS

pytestmark = pytest.mark.real_time


def rows() -> dict[str, tuple[str, str]]:
    """Type and labels by name."""
    found = [line.strip("| ").split(" | ") for line in metrics.render().splitlines()]
    return {row[0].strip("`"): (row[1], row[2].strip()) for row in found if row[0].startswith("`")}


def test_katibs_figures_are_there_with_their_labels() -> None:
    found = rows()
    for name in KATIB_COUNTERS:
        assert found[name] == ("counter", "`namespace`")
    for name in ("katib_experiments_current", "katib_trials_current"):
        assert found[name] == ("gauge", "`namespace`, `status`")


def test_a_figure_without_series_yet_has_its_labels_and_a_plain_tally_too() -> None:
    found = rows()
    assert found["rest_client_requests_total"] == ("counter", "`code`, `method`, `host`")
    assert found["workqueue_adds_total"] == ("counter", "`name`, `controller`")
    assert found["controller_runtime_reconcile_time_seconds"] == ("histogram", "`controller`")


def test_what_depends_on_the_machine_is_left_out() -> None:
    assert [name for name in rows() if name.startswith(("process_", "python_"))] == []
