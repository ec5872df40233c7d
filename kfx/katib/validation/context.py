"""What the rules must know beside the Experiment itself; looked up first, so that the rules stay pure."""

from collections.abc import Collection
from dataclasses import dataclass, field

from kfx.katib.katib_config import RuntimeConfig
from kfx.katib.validation.field_error import FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationContext:
    """One process, one moment.

    ``algorithms``, ``early_stoppings``: names this process answers itself. ``config``: katib-config with the
    built-in collectors, or the text of the error that reading it gave. ``trial_resources``: kinds of jobs as
    ``Kind.version.group``. ``strict_kinds``: refuse other kinds (else warn). ``template_text``: the text of
    the ConfigMap that the template names, or ``template_error`` why there is none.
    """

    algorithms: Collection[str]
    early_stoppings: Collection[str] = ()
    config: RuntimeConfig | str
    trial_resources: Collection[str]
    strict_kinds: bool = True
    template_text: str | None = None
    template_error: str = ""


@dataclass(slots=True)
class Findings:
    """What the rules found: errors refuse the Experiment, warnings only tell."""

    errors: list[FieldError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
