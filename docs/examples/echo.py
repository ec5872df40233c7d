"""An operator: for each Echo of example.org/v1 a ConfigMap of the same name that holds its text."""

import asyncio
import signal
from collections.abc import Mapping

from kfx.kube import KubeObject, Model, OwnerReference, Resource, load_credentials, to_builtins
from kfx.runtime import Create, Lister, Note, Operator, Patch, Plan, Request, Result, Writer


class EchoSpec(Model):
    text: str


class EchoStatus(Model):
    config_map: str = ""
    observed_generation: int = 0


class Echo(KubeObject):
    resource = Resource("example.org", "v1", "echoes", "Echo")
    spec: EchoSpec
    status: EchoStatus = EchoStatus()


class ConfigMap(KubeObject):
    resource = Resource("", "v1", "configmaps", "ConfigMap")
    data: Mapping[str, str] | None = None


def compose(echo: Echo) -> Create:
    """The ConfigMap of ``echo``, to be removed by Kubernetes' garbage collector when ``echo`` is gone."""
    kind, (namespace, name), uid = echo.resource, echo.key, echo.metadata.uid
    owner = OwnerReference(api_version=kind.api_version, kind=kind.kind, name=name, uid=uid, controller=True)
    metadata = {"name": name, "namespace": namespace, "ownerReferences": [to_builtins(owner)]}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return Create(
        resource=ConfigMap.resource, manifest={**manifest, "data": {"text": echo.spec.text}}, owner_uid=uid
    )


def plan_echo(echo: Echo, found: ConfigMap | None) -> Plan:
    """What the cluster lacks of what ``echo`` asks for: a pure function of what was read."""
    status = EchoStatus(config_map=echo.metadata.name, observed_generation=echo.metadata.generation)
    controller = found.metadata.controller if found else None
    if found is None or controller is None or controller.uid != echo.metadata.uid:
        note = Note("Normal", "Created", f"made ConfigMap {echo.metadata.name}")
        return Plan(create=(compose(echo),), status=status, notes=(note,))
    if (found.data or {}).get("text") != echo.spec.text:
        change = Patch(target=found, changes={"data": {"text": echo.spec.text}})
        return Plan(patch=(change,), status=status)
    return Plan(status=status)


class EchoReconciler:
    """Reads, decides, writes."""

    def __init__(self, echoes: Lister[Echo], config_maps: Lister[ConfigMap], writer: Writer) -> None:
        self._echoes, self._config_maps, self._writer = echoes, config_maps, writer

    async def reconcile(self, request: Request) -> Result:
        echo = self._echoes.get(request)
        if echo is None or echo.metadata.deletion_timestamp:
            return Result()
        return await self._writer.apply(echo, plan_echo(echo, self._config_maps.get(request)))


def add_to(operator: Operator) -> None:
    """Have ``operator`` look after every Echo."""
    cache = operator.cache
    reconciler = EchoReconciler(cache.informer(Echo), cache.informer(ConfigMap), operator.writer)
    operator.controller("echo", reconciler, Echo, owns=[ConfigMap])


async def main() -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Operator.connect(load_credentials(), "echo-operator", lease_namespace="default") as operator:
        add_to(operator)
        await operator.run(stop)


if __name__ == "__main__":
    asyncio.run(main())
