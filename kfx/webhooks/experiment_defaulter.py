"""``/mutate-experiment``: an Experiment gets its defaults before anybody else reads it."""

from collections.abc import Mapping
from typing import Any

import jsonpatch

from kfx.katib.defaults import default_experiment
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment, is_being_deleted
from kfx.runtime.admission import AdmissionRequest, Allowed, Denied, Verdict


class ExperimentDefaulter:
    """Answers with the smallest patch: fields that Katib does not know stay where they are."""

    path = "/mutate-experiment"

    async def handle(self, request: AdmissionRequest) -> Verdict:
        """Refuses what is no Experiment, as nothing behind it could read it."""
        document = request.document()
        if is_being_deleted(document):
            return Allowed()
        try:
            decode_experiment(document)
        except ExperimentDecodeError as error:
            return Denied(str(error))
        return Allowed(_difference(document, default_experiment(document)) or None)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Operations in the order of their paths; defaults only add and replace, so any order would do."""
    found: list[dict[str, Any]] = jsonpatch.make_patch(old, new).patch
    return sorted(found, key=lambda operation: _order(operation["path"]))


def _order(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.split("/")]
