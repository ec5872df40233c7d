"""Which kind lives under which URL."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote

# Kinds and groups come from owner references too, which anybody may write: no path may be made of them.
_GROUP = re.compile(r"(?:[a-z0-9][-a-z0-9.]*)?")
_VERSION = re.compile(r"[a-z0-9]+")
_KIND = re.compile(r"[A-Za-z][-A-Za-z0-9]*")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server serves it.

    ``group`` is ``""`` for the core group. ``plural`` is the URL's word, ``kind`` the manifest's.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The manifest's ``apiVersion``: ``group/version``, or ``version`` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource.

        An empty ``namespace`` means all namespaces (lists) or a cluster-scoped object.
        """
        parts = ["api" if not self.group else f"apis/{self.group}", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Target(NamedTuple):
    """What a URL path leads to. ``resource`` as ``str(Resource)``; ``""`` for what is not there."""

    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def target_of(path: str) -> Target:
    """What :meth:`Resource.path` was asked for; nothing for a path of no resource, such as ``/version``.

    (apiserver ``RequestInfoFactory.NewRequestInfo``.)
    """
    match path.strip("/").split("/"):
        case ["api", _, *rest] if rest:
            group = ""
        case ["apis", group, _, *rest] if rest:
            pass
        case _:
            return Target()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    plural, name, *sub = [unquote(each) for each in rest] if len(rest) > 1 else [rest[0], ""]
    return Target(f"{plural}.{group}" if group else plural, unquote(namespace), name, "/".join(sub))


def guess_resource(api_version: str, kind: str) -> Resource:
    """The resource of a kind named in an owner reference, its plural by the rules of English.

    Namespaced, as owners of namespaced objects nearly always are. Raises :class:`ValueError` for what cannot
    be an ``apiVersion`` of at most two parts and a kind. (apimachinery ``meta.UnsafeGuessKindToResource``.)
    """
    group, _, version = api_version.rpartition("/")
    if not (_GROUP.fullmatch(group) and _VERSION.fullmatch(version) and _KIND.fullmatch(kind)):
        raise ValueError(f"{api_version!r} {kind!r} names no kind; expected group/version and a kind")
    singular = kind.lower()
    if singular.endswith("endpoints"):
        plural = singular
    elif singular.endswith("s"):
        plural = f"{singular}es"
    elif singular.endswith("y"):
        plural = f"{singular[:-1]}ies"
    else:
        plural = f"{singular}s"
    return Resource(group, version, plural, kind)
