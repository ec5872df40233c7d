"""What `make run` can be asked."""

from pathlib import Path

import pytest

from hack.run.errors import RunError
from hack.run.options import SAMPLE, parse_options


def test_without_options_the_sample_runs_on_a_cluster_that_goes_afterwards() -> None:
    options = parse_options([])
    assert (options.experiment, options.keep, options.kubeconfig) == (SAMPLE, False, "")


def test_a_cluster_of_the_users_needs_an_image() -> None:
    with pytest.raises(RunError, match="IMG=") as refused:
        parse_options(["--kubeconfig", "k"])
    assert refused.value.status == 2


def test_the_sample_on_a_cluster_of_the_users_needs_the_trainers_image() -> None:
    with pytest.raises(RunError, match="TRAINER_IMG="):
        parse_options(["--kubeconfig", "k", "--image", "i"])
    own = parse_options(["--kubeconfig", "k", "--image", "i", "--experiment", "e.yaml"])
    assert own.experiment == Path("e.yaml")
    sample = parse_options(["--kubeconfig", "k", "--image", "i", "--trainer-image", "t"])
    assert sample.trainer_image == "t"
