"""Which kinds no trial may run, whatever the flags say: kfx has rights to make them that its users lack."""

_GROUPS = (
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
)
_CORE = ("secret", "namespace", "persistentvolume")
_KATIB = ("experiment", "suggestion", "trial")


def is_denied(group: str, kind: str) -> bool:
    """Whether the kind is one of those, in whatever letters; ``group`` is ``""`` for the core group.

    The path of a resource is made of its kind in small letters.
    """
    group, kind = group.lower(), kind.lower()
    if group == "":
        return kind in _CORE
    return group in _GROUPS or (group == "kubeflow.org" and kind in _KATIB)
