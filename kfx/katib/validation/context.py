"""What the rules must know beside the Experiment itself; looked up first, so that the rules stay pure."""

from collections.abc import Collection
from dataclasses import dataclass, field

from kfx.apis.katib_config import MetricsCollectorEntry
from kfx.katib.katib_config import RuntimeConfig
from kfx.katib.validation.field_error import MAX_ERRORS, FieldError

_MAX_WARNINGS = 20
_MAX_WARNING = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationContext:
    """One process, one moment.

    ``algorithms``, ``early_stoppings``: names this process answers itself; without any algorithm,
    katib-config answers for all. ``config``: katib-config with the built-in collectors, or the text of the
    error that reading it gave. ``trial_resources``: kinds of jobs as ``Kind.version.group``.
    ``strict_kinds``: refuse other kinds (else warn). ``collector_image``: kfx's own, whose abilities are
    known. ``template_text``: the text of the ConfigMap that the template names, or ``template_error`` why
    there is none.
    """

    algorithms: Collection[str]
    early_stoppings: Collection[str] = ()
    config: RuntimeConfig | str
    trial_resources: Collection[str]
    strict_kinds: bool = True
    collector_image: str = ""
    template_text: str | None = None
    template_error: str = ""

    def is_own(self, entry: MetricsCollectorEntry) -> bool:
        """Whether the collector is kfx's."""
        return bool(self.collector_image) and entry.image == self.collector_image


@dataclass(slots=True)
class Findings:
    """What the rules found: errors refuse the Experiment, warnings only tell."""

    errors: list[FieldError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        """Whether more would tell nobody anything: a rule that goes through a list stops."""
        return len(self.errors) > MAX_ERRORS

    def warn(self, text: str) -> None:
        """Keep a warning; the API server cuts what is longer, and all together at 4096 characters."""
        if len(self.warnings) < _MAX_WARNINGS:
            self.warnings.append(text if len(text) <= _MAX_WARNING else f"{text[:_MAX_WARNING]}…")
