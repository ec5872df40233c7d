"""What to do about a trial whose training ended well and reported nothing."""

from kfx.apis.common import Observation
from kfx.apis.trial import Trial
from kfx.katib.names import LABEL_INJECTION

NAMESPACE_LABEL = f"{LABEL_INJECTION}=enabled"


def explain_missing_metrics(trial: Trial, observation: Observation | None) -> str:
    """One sentence on what is missing and one on the remedy, by the way the trial's metrics are collected."""
    objective = trial.spec.objective
    metric = objective.objective_metric_name if objective is not None else ""
    collector = trial.spec.metrics_collector.collector
    kind = collector.kind if collector is not None and collector.kind else "StdOut"
    if observation is None and kind != "Push":
        lead = f"Nothing was reported of metric {metric!r} after the job had succeeded"
        return (
            f"{lead}; see that the namespace has the label {NAMESPACE_LABEL}, that the pod has the "
            f"collector's container, and what that container logged. {_advice(kind, metric, trial)}"
        )
    return f"The training never gave metric {metric!r} a value. {_advice(kind, metric, trial)}"


def _advice(kind: str, metric: str, trial: Trial) -> str:
    source = trial.spec.metrics_collector.source
    path = source.file_system_path.path if source is not None and source.file_system_path is not None else ""
    match kind:
        case "StdOut":
            return f"Print it on standard output as '{metric}=<number>', or set the filter's metricsFormat"
        case "File":
            return f"Write it to {path or 'the file of the metrics collector'} as '{metric}=<number>'"
        case "TensorFlowEvent":
            return (
                f"Write event files with the tag {metric} under {path or 'the path of the metrics collector'}"
            )
        case "Push":
            return f"Call katib.KatibClient().report_metrics({{'{metric}': value}}) in the training"
        case _:
            return f"See that the {kind} collector reports {metric} before it ends"
