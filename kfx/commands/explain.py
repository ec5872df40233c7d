"""``kfx explain``."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import msgspec

from kfx.algorithms import ALGORITHMS
from kfx.commands.experiment_facts import read_experiment
from kfx.commands.platform_facts import read_platform, read_server
from kfx.commands.session import Session
from kfx.commands.tables import paragraph
from kfx.katib.explanation import Explanation, Facts
from kfx.katib.explanation import explain as decide
from kfx.katib.explanation.finding import BROKEN, OK, UNKNOWN
from kfx.kube.credentials import CredentialsError

MARKS = {OK: "ok", UNKNOWN: "??", BROKEN: "NO"}

Connect = Callable[[], AbstractAsyncContextManager[Session]]


async def explain(given: Namespace, connect: Connect) -> int:
    """Print why the Experiment does not progress; 0 where nothing is wrong, 1 for a broken link."""
    core = given.core_namespace or os.environ.get("KATIB_CORE_NAMESPACE") or "kubeflow"
    try:
        async with connect() as session:
            facts = await read_facts(session, given.name, core)
    except CredentialsError as failed:
        facts = Facts(
            namespace=given.namespace,
            name=given.name,
            now=datetime.now(UTC),
            outage=(str(failed), "give --kubeconfig FILE, or correct that file"),
        )
    found = decide(facts)
    if given.output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found.as_json()), indent=2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(render(found)) + "\n")
    return 0 if found.healthy else 1


async def read_facts(session: Session, name: str, core: str) -> Facts:
    """All there is to know of the Experiment; nothing more where the API server or the kinds are missing."""
    facts = Facts(
        namespace=session.namespace,
        name=name,
        now=datetime.now(UTC),
        core_namespace=core,
        algorithms=tuple(ALGORITHMS),
        server=session.client.server,
    )
    facts = await read_server(session, facts)
    if facts.outage is not None or not facts.served:
        return facts
    return await read_experiment(session, await read_platform(session, facts))


def render(found: Explanation) -> list[str]:
    """The answer first, then what was looked at, then the broken link and its remedy."""
    verdict = "complete" if found.complete else "in order" if found.healthy else f"broken link: {found.link}"
    lines = [f"{found.experiment}: {verdict}", ""]
    width = max(len(check.link) for check in found.checked) if found.checked else 0
    for check in found.checked:
        text = str(found.broken.object) if found.broken and check.state == BROKEN else check.text
        lines += paragraph(text, first=f"  {MARKS[check.state]}  {check.link:<{width}}  ")
    if found.checked:
        lines.append("")
    if found.broken is None:
        return lines + paragraph(f"{found.summary[:1].upper()}{found.summary[1:]}.")
    broken = found.broken
    rows = [("Object", str(broken.object)), ("Field", broken.field), ("Problem", broken.problem)]
    for heading, text in (*rows, ("Remedy", broken.remedy)):
        if text:
            lines += paragraph(text, first=f"{heading + ':':<9} ")
    return lines
