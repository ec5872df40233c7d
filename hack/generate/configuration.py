"""``docs/reference/configuration.md``: every key of a KatibConfig that kfx reads."""

from hack.generate import markdown
from hack.generate.definitions import describe
from hack.generate.flags import default_of
from kfx.apis.katib_config import API_VERSION, KIND, RuntimeSection
from kfx.config import FLAGS
from kfx.config_file import CONTROLLER_KEYS


def render() -> str:
    """The page's text."""
    intro = (
        f"A `{KIND}` (`{API_VERSION}`) has two readers: its `init` part is read once, from the file of "
        "`--katib-config`; its `runtime` part from ConfigMap `katib-config`, as it changes."
    )
    known = {flag.name: flag for flag in FLAGS}
    rows = (
        (f"`{key}`", f"`--{name}`", known[name].type, default_of(known[name]), known[name].help)
        for key, name in CONTROLLER_KEYS.items()
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
