"""Watch one Experiment and its Trials until it ends; a small use of kfx's own cache."""

import asyncio
from collections.abc import Callable

from hack.run.progress import Progress, observe
from hack.run.report import Display
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.kube.client import Client
from kfx.runtime.cache import Cache
from kfx.runtime.reconcile import Request

INTERVAL = 0.25  # seconds between two looks


async def follow(
    client: Client, key: tuple[str, str], shown: Display, *, check: Callable[[], None]
) -> Progress | None:
    """The progress at the end, None if the Experiment was deleted. ``check`` may raise to give up."""
    namespace, name = key
    cache = Cache(client)
    experiments = cache.informer(Experiment, namespace=namespace, field_selector=f"metadata.name={name}")
    trials = cache.informer(Trial, namespace=namespace, label_selector=f"{LABEL_EXPERIMENT}={name}")
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
        while experiment := experiments.get(Request(namespace, name)):
            progress = observe(experiment, trials.all())
            shown.update(progress)
            if progress.ending:
                return progress
            check()
            await asyncio.sleep(INTERVAL)
    return None
