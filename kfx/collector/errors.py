"""How the collector fails: with one sentence and a status other than 0, which fails the pod."""


class CollectorError(Exception):
    """The trial's metrics cannot be collected; the text says why and what to look at."""


class TrainingFailed(CollectorError):
    """The training ended, and not well."""


class UsageError(CollectorError):
    """The command line cannot be used."""
