"""``kfx cert-generator``: flags of Katib's Job ``katib-cert-generator`` to an exit status."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kfx import __version__, flags
from kfx.flags import Flag, FlagError, HelpRequested
from kfx.kube.client import Client
from kfx.kube.credentials import CredentialsError, load_credentials
from kfx.runtime.log import configure_logging, get_logger
from kfx.webhooks.cert_generator import CertGeneratorError, Place, generate

PROGRAM = "kfx cert-generator"

log = get_logger("cert-generator")


def main(words: Sequence[str]) -> int:
    """0: the certificate is in place. 1: it is not, the log names why. 2: the command line was wrong."""
    known = flags_of(os.environ)
    # Katib's Job runs "katib-cert-generator generate"
    rest = words[1:] if words[:1] == ["generate"] else words
    try:
        given = flags.parse_flags(known, rest)
    except HelpRequested:
        sys.stdout.write(flags.usage(PROGRAM, known))
        return 0
    except FlagError as error:
        sys.stderr.write(flags.complain(PROGRAM, error, flags.usage(PROGRAM, known)))
        return 2
    values = {flag.name: given.get(flag.name, flag.default) for flag in known}
    configure_logging(level="info", format="auto")
    try:
        asyncio.run(_generate(values))
    except (CertGeneratorError, CredentialsError) as error:
        log.error("no certificate", error=str(error))
        return 1
    return 0


def flags_of(environ: Mapping[str, str]) -> tuple[Flag, ...]:
    """Katib's three, each with its short name, and where the API server is."""
    namespace = environ.get("KATIB_CORE_NAMESPACE") or "kubeflow"
    long = (
        Flag("namespace", "name", namespace, "where Service, Job and Secret are", flags.parse_name),
        Flag("jobName", "name", "katib-cert-generator", "the Job that runs this", flags.parse_name),
        Flag("serviceName", "name", "katib-controller", "the Service of the webhooks", flags.parse_name),
    )
    short = (Flag(each.name[0], "name", "", f"short for --{each.name}", each.parse) for each in long)
    kubeconfig = Flag(
        "kubeconfig", "file", "", "how to reach the API server, when not from inside it", flags.parse_text
    )
    return (*long, *short, kubeconfig)


async def _generate(values: Mapping[str, Any]) -> None:
    chosen = {name: values[name[0]] or values[name] for name in ("namespace", "jobName", "serviceName")}
    place = Place(chosen["namespace"], chosen["serviceName"], chosen["jobName"])
    credentials = load_credentials(values["kubeconfig"])
    async with Client.connect(credentials, user_agent=f"kfx/{__version__} cert-generator") as client:
        await generate(client, place, now=datetime.now(UTC))
    log.info("done", namespace=place.namespace, service=place.service)
