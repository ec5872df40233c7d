"""The links that all Experiments share: API server, kinds, controller, webhooks."""

from collections.abc import Iterable, Mapping
from typing import Any

from kfx.apis.workload import Deployment, DetailedPod
from kfx.katib.ages import seconds_since, spell, spell_age
from kfx.katib.explanation.facts import Facts, HookSeen, LeaseSeen, Unread
from kfx.katib.explanation.finding import Broken, Outcome, Passed, Ref, Unchecked
from kfx.katib.explanation.said import listing, quote_scheduler, unplaced
from kfx.katib.names import SERVICE, WEBHOOK_CONFIGURATION
from kfx.katib.pod_trouble import find_trouble

KINDS = ("Experiment", "Suggestion", "Trial")
POD_HOOK = "mutator.pod.katib.kubeflow.org"
STALE = 4  # lease durations without a renewal after which nobody leads, whatever the clocks
_ELECTION = "enable-leader-election"
_LEASE_NAME = "leader-election-id"


def check_api_server(facts: Facts) -> Outcome:
    """Whether it answers us at all."""
    if facts.outage is None:
        return Passed(f"{facts.server} answers, Kubernetes {facts.version or 'of an unknown version'}")
    problem, remedy = facts.outage
    return Broken(object=Ref("APIServer", "", facts.server), problem=problem, remedy=remedy)


def check_definitions(facts: Facts) -> Outcome:
    """Whether Katib's kinds are installed."""
    if isinstance(facts.served, Unread):
        return Unchecked(str(facts.served))
    missing = [kind for kind in KINDS if kind not in facts.served]
    if not missing:
        return Passed("Experiment, Suggestion and Trial of kubeflow.org/v1beta1 are served")
    return Broken(
        object=Ref("CustomResourceDefinition", "", f"{missing[0].lower()}s.kubeflow.org"),
        problem=f"the API server does not know {listing(missing)} of kubeflow.org/v1beta1",
        remedy="install the definitions: kubectl apply -k config/crd",
    )


def elects(deployment: Deployment) -> bool:
    """Whether its pods take turns by a Lease."""
    value = _flag(deployment, _ELECTION)
    return value is not None and value not in {"false", "0", "f", "F", "FALSE", "False"}


def lease_name(deployments: Iterable[Deployment], otherwise: str) -> str:
    """The name of the Lease that the first of them names by flag."""
    named = (_flag(deployment, _LEASE_NAME) for deployment in deployments)
    return next((name for name in named if name), otherwise)


def _flag(deployment: Deployment, name: str) -> str | None:
    """The value of a flag on a container's command line, ``""`` if it has none there, ``None`` without it."""
    for container in deployment.spec.template.spec.containers:
        words = [*container.command, *container.args]
        for index, word in enumerate(words):
            flag, equals, value = word.lstrip("-").partition("=")
            if flag == name and word.startswith("-"):
                following = words[index + 1] if index + 1 < len(words) else ""
                return value if equals or following.startswith("-") else following
    return None


def check_controller(facts: Facts) -> Outcome:
    """Whether exactly one controller is at work."""
    deployments = facts.deployments if isinstance(facts.deployments, tuple) else ()
    leases = facts.leases if isinstance(facts.leases, tuple) else ()
    fresh = [lease for lease in leases if lease.holder and not _is_stale(lease, facts)]
    available = [d for d in deployments if d.status.available_replicas > 0]
    alone = [d for d in available if not elects(d) and not _holds(d, fresh)]
    leaders = [f"{lease.holder} (Lease {lease.namespace}/{lease.name})" for lease in fresh]
    leaders += [f"Deployment {'/'.join(d.key)}" for d in alone for _ in range(d.status.available_replicas)]
    if len(leaders) > 1:
        return _too_many(leaders, alone, fresh)
    if fresh:
        renewed = spell_age(fresh[0].renewed, facts.now)
        return Passed(f"{leaders[0]} leads, renewed {renewed} ago")
    if alone:
        return Passed(f"{leaders[0]} is available")
    return _nobody(facts, deployments, leases)


def _holds(deployment: Deployment, leases: Iterable[LeaseSeen]) -> bool:
    """Whether one of its pods leads: a holder's name begins with the pod's (client-go, kfx)."""
    namespace, name = deployment.key
    return any(lease.namespace == namespace and lease.holder.startswith(f"{name}-") for lease in leases)


def _too_many(leaders: list[str], alone: list[Deployment], fresh: list[LeaseSeen]) -> Broken:
    about = alone[0].key if alone else (fresh[0].namespace, fresh[0].name)
    return Broken(
        object=Ref("Deployment" if alone else "Lease", *about),
        problem=f"{len(leaders)} controllers drive the same Experiments: {listing(leaders)}",
        remedy="leave one: scale the other to 0, or let all share one Lease (--enable-leader-election)",
    )


def _nobody(facts: Facts, deployments: tuple[Deployment, ...], leases: tuple[LeaseSeen, ...]) -> Outcome:
    for deployment in deployments:
        if deployment.status.available_replicas == 0:
            return _unavailable(facts, deployment)
    stale = [lease for lease in leases if lease.holder]
    if stale:
        return _abandoned(facts, stale[0])
    unread = [str(each) for each in (facts.deployments, facts.leases) if isinstance(each, Unread)]
    if deployments and not unread:
        namespace, name = deployments[0].key
        return Broken(
            object=Ref("Lease", namespace, facts.lease_name),
            problem="no replica leads: nobody holds the Lease though the Deployment is available",
            remedy=f"see why: kubectl -n {namespace} logs deployment/{name}",
        )
    if unread:
        return Unchecked("; ".join(unread))
    return _unknown(facts)


def _unavailable(facts: Facts, deployment: Deployment) -> Broken:
    namespace, name = deployment.key
    wanted = 1 if deployment.spec.replicas is None else deployment.spec.replicas
    about = Ref("Deployment", namespace, name)
    if wanted == 0:
        return Broken(
            object=about,
            field="spec.replicas",
            problem="the controller is scaled to 0 replicas",
            remedy=f"kubectl -n {namespace} scale deployment {name} --replicas=1",
        )
    pods = facts.controller_pods if isinstance(facts.controller_pods, tuple) else ()
    own = [pod for pod in pods if pod.metadata.namespace == namespace]
    said = describe_pods(own)
    return Broken(
        object=about,
        problem=f"none of the {wanted} replicas is available" + (f": {said}" if said else ""),
        remedy=f"kubectl -n {namespace} logs deployment/{name} (or describe pods) says why; mend that",
    )


def describe_pods(pods: Iterable[DetailedPod]) -> str:
    """Why one of these pods, which are no trial's, does not start; ``""`` for nothing known."""
    found = tuple(pods)
    trouble = find_trouble(found)
    if trouble is None:
        waiting = unplaced(found)
        return quote_scheduler(waiting) if waiting is not None else ""
    return f"{trouble.reason}: {trouble.message.rpartition('; ')[0]}"  # its remedy is for trials


def _abandoned(facts: Facts, lease: LeaseSeen) -> Broken:
    where = Ref("Lease", lease.namespace, lease.name)
    age = spell_age(lease.renewed, facts.now)
    return Broken(
        object=where,
        field="spec.renewTime",
        problem=f"no controller is alive: the last leader, {lease.holder}, renewed its Lease {age} ago",
        remedy=f"start the controller: kubectl -n {lease.namespace} get deployment,pods says what is there",
    )


def _unknown(facts: Facts) -> Outcome:
    """Nothing in the cluster speaks of a controller; it may run elsewhere, as with ``make run``."""
    text = f"no Deployment of a controller and no Lease {facts.lease_name} in the cluster"
    document = facts.experiment if isinstance(facts.experiment, Mapping) else {}
    age = seconds_since((document.get("metadata") or {}).get("creationTimestamp"), facts.now) or 0.0
    if (document.get("status") or {}).get("conditions") or age < 15:
        return Unchecked(f"{text}; one that runs outside of it, without leader election, cannot be seen")
    return Broken(
        object=Ref("Deployment", facts.core_namespace, SERVICE),
        problem=f"no controller is alive: {text}, and nobody has touched the Experiment for {spell(age)}",
        remedy="install kfx (kubectl apply -k config/default), or start it: kfx --kubeconfig FILE",
    )


def _is_stale(lease: LeaseSeen, facts: Facts) -> bool:
    age = seconds_since(lease.renewed, facts.now)
    return age is None or age > STALE * max(lease.duration, 15.0)


def check_webhooks(facts: Facts, *, collects: bool) -> Outcome:
    """Whether they are registered and can be called. ``collects``: pods need a collector."""
    if isinstance(facts.hooks, Unread):
        return Unchecked(str(facts.hooks))
    for hook in facts.hooks:
        if broken := _check_hook(hook):
            return broken
    names = {hook.name for hook in facts.hooks}
    if POD_HOOK not in names and collects:
        return Broken(
            object=Ref("MutatingWebhookConfiguration", "", WEBHOOK_CONFIGURATION),
            problem=f"webhook {POD_HOOK} is not registered, so the trials' pods get no metrics collector",
            remedy="install the webhooks: kubectl apply -k config/webhook",
        )
    unread = sorted({str(each) for hook in facts.hooks for each in hook.unread})
    if unread:
        return Unchecked(f"{len(names)} registered; {'; '.join(unread)}")
    return Passed(f"{len(names)} registered, with a caBundle and somebody to answer")


def _check_hook(hook: HookSeen) -> Broken | None:
    about = Ref(hook.configuration, "", WEBHOOK_CONFIGURATION)
    if hook.bundle_problem:
        return Broken(
            object=about,
            field=f"webhooks[{hook.name}].clientConfig.caBundle",
            problem=f"the API server cannot trust webhook {hook.name}: its caBundle {hook.bundle_problem}",
            remedy="restart the controller, which writes its own (it needs the right to patch the "
            "configuration), or put in the authority of the certificate in --cert-dir",
        )
    if hook.service_problem:
        return Broken(
            object=about,
            field=f"webhooks[{hook.name}].clientConfig.service",
            problem=f"nobody answers webhook {hook.name}: Service {hook.service} {hook.service_problem}",
            remedy="start the controller, or correct the Service's selector: "
            f"kubectl -n {hook.service.partition('/')[0]} get service,endpointslices,pods",
        )
    return None


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (``matchLabels``, ``matchExpressions``) takes these labels."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(rule, labels) for rule in selector.get("matchExpressions") or ())


def _meets(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = rule.get("key", ""), rule.get("values") or ()
    match rule.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
