"""What the webhooks read of an Experiment under review: all but its status, which may name 20,000 trials."""

from typing import Any

from kfx.katib.experiment_document import is_being_deleted
from kfx.runtime.admission import AdmissionRequest, InvalidRequest


def read_experiment(request: AdmissionRequest) -> dict[str, Any] | None:
    """Metadata and spec; ``None`` of an Experiment that is being deleted, however large.

    Raises InvalidRequest as :meth:`kfx.runtime.admission.AdmissionRequest.document`.
    """
    try:
        document = request.document("metadata", "spec")
    except InvalidRequest:
        if is_being_deleted(request.document("metadata.deletionTimestamp")):
            return None
        raise
    return None if is_being_deleted(document) else document


def read_stored_experiment(request: AdmissionRequest) -> dict[str, Any] | None:
    """The spec before an update, and how far the Experiment had come; ``None`` at its creation."""
    return request.old_document("spec", "status.conditions", "status.trials")
