"""``docs/reference/configuration.md``: every key of a KatibConfig that kfx reads."""

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from hack.generate import markdown
from hack.generate.definitions import describe
from hack.generate.flags import default_of
from kfx.apis.katib_config import API_VERSION, KIND, RuntimeSection
from kfx.config import FLAGS

_READERS = ("kfx.config_file", "kfx.config")


def render() -> str:
    """The page's text."""
    intro = (
        f"A `{KIND}` (`{API_VERSION}`) has two readers: its `init` part is read once, from the file of "
        "`--katib-config`; its `runtime` part from ConfigMap `katib-config`, as it changes."
    )
    known = {flag.name: flag for flag in FLAGS}
    rows = (
        (f"`{key}`", f"`--{name}`", known[name].type, default_of(known[name]), known[name].help)
        for key, name in keys_of_controller().items()
    )
    init = markdown.table(("key", "flag", "type", "default", "meaning"), rows)
    return markdown.page(
        "Configuration",
        "`kfx.config.FLAGS` and the types in `kfx/apis/katib_config.py`",
        intro,
        "## init.controller",
        "A flag wins over its key.",
        init,
        "## runtime",
        *markdown.types(describe(RuntimeSection), level=3),
    )


def keys_of_controller() -> Mapping[str, str]:
    """Key of ``init.controller`` → the flag it is another place for: the one table of flags by key."""
    names = {flag.name for flag in FLAGS}
    for value in _module_values():
        if isinstance(value, dict) and value and names.issuperset(map(str, value.values())):
            return value
    raise LookupError(f"no table of keys and flags in {' or '.join(_READERS)}: adapt {__name__}")


def _module_values() -> Iterator[Any]:
    for name in _READERS:
        if importlib.util.find_spec(name):
            yield from vars(importlib.import_module(name)).values()
