"""Which kind lives under which URL."""

from dataclasses import dataclass
from urllib.parse import quote


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


def guess_resource(api_version: str, kind: str) -> Resource:
    """The resource of a kind named in an owner reference, its plural by the rules of English.

    Namespaced, as owners of namespaced objects nearly always are. Raises :class:`ValueError` for an
    ``apiVersion`` of more than two parts. (apimachinery ``meta.UnsafeGuessKindToResource``.)
    """
    group, _, version = api_version.rpartition("/")
    if not version or not kind or "/" in group:
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
