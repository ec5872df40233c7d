"""What a container without a command runs: its image's registry is asked, once for many pods."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

from kfx.katib.pod_shape import Container, PodSpec
from kfx.kube.errors import Forbidden, NotFound
from kfx.kube.resource import Resource
from kfx.registry.client import RegistryClient
from kfx.registry.docker_config import DockerConfig
from kfx.registry.errors import RegistryError, RegistryUnavailable
from kfx.registry.image import ImageCommand, Platform, read_command
from kfx.registry.logins import Login, Logins
from kfx.registry.reference import ImageReference, parse_reference
from kfx.runtime.memory import Expiring, LeastRecentlyUsed

TIME_LIMIT = 5.0
"""Seconds for one look-up with all its requests; the webhook itself has 9."""
CONCURRENT = 8
"""Look-ups at a time, waiting ones included: slow registries must not take all of the webhooks' turns."""
TAG_SECONDS = 60.0
FAILURE_SECONDS = 5.0
REMEMBERED = 1024
"""Answers, and configurations by digest; about a kilobyte each."""
MOST_SECRETS = 16

SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
FALLBACK = Platform("linux", "amd64")


class DocumentReader(Protocol):
    """Reads one object past the cache."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class _Question:
    """All that an answer depends on. ``pull_secrets`` by name: pods of one namespace that name the same ones
    may know the same images.
    """

    image: ImageReference
    platforms: tuple[Platform, ...]
    namespace: str
    service_account: str
    pull_secrets: tuple[str, ...]


class ImageCommands:
    """Answers from memory where the same was asked before: of a digest for good, of a tag for a minute.

    ``docker``: kfx's own logins, for what no pull secret opens. ``clock`` counts seconds.
    """

    def __init__(
        self,
        *,
        client: DocumentReader,
        registries: RegistryClient,
        clock: Callable[[], float],
        docker: DockerConfig | None = None,
    ) -> None:
        self._client = client
        self._docker = docker
        self._registries = registries
        self._known: Expiring[_Question, ImageCommand | RegistryError] = Expiring(clock, REMEMBERED)
        self._configurations: LeastRecentlyUsed[str, ImageCommand] = LeastRecentlyUsed(REMEMBERED)
        self._locks: WeakValueDictionary[_Question, asyncio.Lock] = WeakValueDictionary()
        self._busy = 0

    async def find(self, container: Container, pod_spec: PodSpec, namespace: str) -> tuple[str, ...]:
        """What the container's image puts before the container's arguments.

        Raises :class:`RegistryError`, or ``RegistryUnavailable`` where it is worth trying again, and what
        ``client`` raises where the pull secrets cannot be read now.
        """
        try:
            image = parse_reference(container.image or "")
        except ValueError as error:
            raise RegistryError(f"its name {error}") from None
        names = dict.fromkeys(str(each.name) for each in pod_spec.image_pull_secrets or ())
        account = pod_spec.service_account_name or "default"
        question = _Question(image, _platforms(pod_spec), namespace, account, tuple(names)[:MOST_SECRETS])
        known = self._known.get(question)
        if known is None:
            known = await self._look_up(question)
        if isinstance(known, RegistryError):
            raise type(known)(*known.args)  # the remembered one would gather tracebacks
        return known.before(container.args or ())

    async def _look_up(self, question: _Question) -> ImageCommand | RegistryError:
        if self._busy >= CONCURRENT:
            raise RegistryUnavailable(f"{CONCURRENT} images are being looked up already")
        lock = self._locks.setdefault(question, asyncio.Lock())
        self._busy += 1
        try:
            async with asyncio.timeout(TIME_LIMIT), lock:
                known = self._known.get(question)  # whoever held the lock asked the same
                if known is None:
                    known = await self._ask(question)
        except TimeoutError:
            known = RegistryUnavailable(f"{question.image.host} gave no answer within {TIME_LIMIT:g} s")
            self._remember(question, known)
        finally:
            self._busy -= 1
        return known

    async def _ask(self, question: _Question) -> ImageCommand | RegistryError:
        login, remark = await self._find_login(question)
        repository = self._registries.repository(question.image, login)
        try:
            digest, command = await read_command(
                repository, question.image.version, question.platforms, self._configurations.get
            )
        except RegistryError as error:
            answer = type(error)(f"{error}{remark}")
            self._remember(question, answer)
            return answer
        self._configurations.put(digest, command)
        self._remember(question, command)
        return command

    def _remember(self, question: _Question, answer: ImageCommand | RegistryError) -> None:
        seconds = TAG_SECONDS
        if isinstance(answer, RegistryError):
            seconds = FAILURE_SECONDS
        elif question.image.digest:
            seconds = float("inf")
        self._known.put(question, answer, seconds)

    async def _find_login(self, question: _Question) -> tuple[Login | None, str]:
        """A login, and what kept kfx from finding one, which matters only if the registry wants it."""
        secrets, remark = await self._pull_secrets(question)
        login = Logins(secrets).find(question.image)
        if login is None and self._docker is not None:
            try:
                login = await self._docker.find(question.image)
            except RegistryError as error:
                remark += f"; {error}"
        return login, remark

    async def _pull_secrets(self, question: _Question) -> tuple[list[Mapping[str, Any]], str]:
        """The Secrets there are, of the pod first, and a remark on those that kfx may not read."""
        names = dict.fromkeys(question.pull_secrets)
        found: list[Mapping[str, Any]] = []
        namespace, forbidden = question.namespace, ""
        try:
            account = await self._client.get_document(SERVICE_ACCOUNTS, namespace, question.service_account)
            names.update(dict.fromkeys(str(each["name"]) for each in account.get("imagePullSecrets") or ()))
        except (NotFound, Forbidden):
            pass  # the API server copies an account's secrets into the pod, unless it was told not to
        for name in list(names)[:MOST_SECRETS]:
            try:
                found.append(await self._client.get_document(SECRETS, namespace, name))
            except NotFound:
                continue
            except Forbidden:
                forbidden = (
                    f"; kfx may not read the pull secret {name} in namespace {namespace}: apply "
                    "config/rbac/pull-secrets"
                )
        return found, forbidden


def _platforms(pod_spec: PodSpec) -> tuple[Platform, ...]:
    """The platform that the pod asks its node for, then the commonest."""
    selector = pod_spec.node_selector or {}
    wanted = Platform(
        selector.get("kubernetes.io/os", FALLBACK.os),
        selector.get("kubernetes.io/arch", FALLBACK.architecture),
    )
    return (wanted, FALLBACK)
