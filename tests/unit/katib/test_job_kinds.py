"""Kinds that no trial may run."""

import pytest

from kfx.katib.job_kinds import is_denied


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("", "Secret"),
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("kubeflow.org", "Experiment"),
        ("", "secret"),
        ("kubeflow.org", "tRIAL"),
        ("RBAC.authorization.k8s.io", "Role"),
    ],
)
def test_what_would_lend_rights_is_denied(group: str, kind: str) -> None:
    assert is_denied(group, kind)


@pytest.mark.parametrize(
    ("group", "kind"), [("batch", "Job"), ("", "Pod"), ("kubeflow.org", "TFJob"), ("a.io", "Secret")]
)
def test_what_only_runs_pods_is_not(group: str, kind: str) -> None:
    assert not is_denied(group, kind)
