"""``docs/reference/api.md``: every field of Katib's kinds."""

from hack.generate import markdown
from hack.generate.definitions import describe
from hack.generate.openapi import KINDS
from kfx.apis.common import API_VERSION


def render() -> str:
    """The page's text; Kubernetes' own types come last."""
    intro = (
        f"The kinds of `{API_VERSION}`. Their CRDs accept any shape, as Katib's do: types are checked where "
        "an object is read, and fields that are not listed here survive. A field marked * must be there. Of "
        "Kubernetes' own types only what kfx reads is listed. `docs/swagger.json` says the same to programs."
    )
    types = dict(sorted(describe(*KINDS).items(), key=lambda each: each[0].startswith("v1.")))
    return markdown.page("API", "the types in `kfx/apis`", intro, *markdown.types(types, level=2))
