"""``/mutate-experiment``: an Experiment gets its defaults before anybody else reads it."""

from collections.abc import Iterator
from typing import Any

from kfx.katib.defaults import default_experiment
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.runtime.admission import AdmissionRequest, Allowed, Denied, Verdict
from kfx.webhooks.experiment_reader import read_experiment


class ExperimentDefaulter:
    """Answers with the smallest patch: fields that Katib does not know stay where they are."""

    path = "/mutate-experiment"

    async def handle(self, request: AdmissionRequest) -> Verdict:
        """Refuses what is no Experiment, as nothing behind it could read it."""
        document = read_experiment(request)
        if document is None:
            return Allowed()
        try:
            decode_experiment(document)
        except ExperimentDecodeError as error:
            return Denied(str(error))
        return Allowed(list(difference(document, default_experiment(document))) or None)


def difference(old: Any, new: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Operations in the order of their paths. Defaults only add and replace, and share what they leave."""
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted([key for key in new if key not in old or old[key] is not new[key]]):
            where = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key in old:
                yield from difference(old[key], new[key], where)
            else:
                yield {"op": "add", "path": where, "value": new[key]}
    elif isinstance(old, list) and isinstance(new, list):
        for index, item in enumerate(new):
            if index >= len(old):
                yield {"op": "add", "path": f"{path}/{index}", "value": item}
            elif old[index] is not item:
                yield from difference(old[index], item, f"{path}/{index}")
    elif old != new:
        yield {"op": "replace", "path": path, "value": new}
