"""``kfx get``."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from kfx.apis.experiment import Experiment, ExperimentStatus
from kfx.apis.suggestion import Suggestion, SuggestionStatus
from kfx.apis.trial import Trial
from kfx.commands.rows import by_objective, columns_of, row
from kfx.commands.session import Session, decode_document
from kfx.commands.tables import align, measure
from kfx.commands.watch import follow
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.katib.unreadable import TrialStandIn
from kfx.kube.decode import Undecodable, decoder_for, read_head
from kfx.kube.errors import NotFound
from kfx.kube.model import KubeObject, Unreadable

Kind = type[Experiment] | type[Trial] | type[Suggestion]
Found = Experiment | Trial | Suggestion

KINDS: dict[str, Kind] = {"experiments": Experiment, "trials": Trial, "suggestions": Suggestion}


async def get(given: Namespace, session: Session) -> int:
    """Print what is asked for, then its changes with ``-w``."""
    raws: dict[Kind, list[bytes]] = {}
    version = ""
    for name in given.kinds:
        kind = KINDS[name]
        raws[kind], version = await _read(kind, given, session)
    if given.output in {"json", "yaml"}:
        _print_documents([raw for found in raws.values() for raw in found], given)
        return 0
    if given.output == "name":
        _print_names(raws)
    elif not any(raws.values()) and not given.watch:
        where = "" if given.all_namespaces else f" in namespace {session.namespace}"
        sys.stderr.write(f"No {', '.join(given.kinds)} found{where}.\n")
    else:
        _print_tables(raws, given)
    if given.watch:
        await _watch(given, session, raws, version)
    return 0


async def _read(kind: Kind, given: Namespace, session: Session) -> tuple[list[bytes], str]:
    resource = kind.resource
    if given.names:
        documents = [await _read_one(kind, name, session) for name in given.names]
        version = documents[0]["metadata"]["resourceVersion"] if documents else ""
        return [msgspec.json.encode(document) for document in documents], version
    namespace = "" if given.all_namespaces else session.namespace
    try:
        return await session.list_raw(resource, namespace=namespace, labels=_selector(given))
    except NotFound as missing:
        raise session.not_found(resource, "", missing) from None


async def _read_one(kind: Kind, name: str, session: Session) -> dict[str, Any]:
    try:
        return await session.document(kind.resource, name)
    except NotFound as missing:
        raise session.not_found(kind.resource, name, missing) from None


def _selector(given: Namespace) -> str:
    own = f"{LABEL_EXPERIMENT}={given.experiment}" if given.experiment else ""
    return ",".join(part for part in (given.selector, own) if part)


def _print_documents(raws: Sequence[bytes], given: Namespace) -> None:
    """One object by its name as it is, otherwise a List, as kubectl prints them."""
    documents = [decode_document(raw) for raw in raws]
    for document in documents:
        document.get("metadata", {}).pop("managedFields", None)
    shown: dict[str, Any] = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": documents}
    if len(given.names) == 1 and len(given.kinds) == 1:
        shown = documents[0]
    if given.output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown), indent=4).decode() + "\n")
        return
    import yaml  # noqa: PLC0415 — only for those who ask for it

    yaml.safe_dump(shown, sys.stdout, sort_keys=True, allow_unicode=True)


def _print_names(raws: dict[Kind, list[bytes]]) -> None:
    for kind, found in raws.items():
        for raw in found:
            sys.stdout.write(f"{kind.resource.kind.lower()}.{kind.resource.group}/{read_head(raw).name}\n")


def _print_tables(raws: dict[Kind, list[bytes]], given: Namespace) -> None:
    now = datetime.now(UTC)
    first = True
    for kind, found in raws.items():
        if not found and len(raws) > 1:
            continue
        if not first:
            sys.stdout.write("\n")
        first = False
        rows = table(kind, decode_all(kind, found), given, now)
        sys.stdout.write("\n".join(align(rows)) + "\n")


def decode_all(kind: Kind, raws: Iterable[bytes]) -> list[Found]:
    """The objects; of those that do not decode, metadata and conditions."""
    decode = decoder_for(kind)
    return [_decode(kind, decode, raw) for raw in raws]


def _decode(kind: Kind, decode: Any, raw: bytes) -> Found:
    try:
        found: Found = decode(raw)
    except Undecodable as failed:
        return _stand_in(kind, failed.stand_in)
    return found


def _stand_in(kind: Kind, found: Unreadable) -> Found:
    if kind is Trial:
        return TrialStandIn.of(found)
    if kind is Suggestion:
        return Suggestion(
            metadata=found.metadata, status=SuggestionStatus(conditions=found.status.conditions)
        )
    return Experiment(metadata=found.metadata, status=ExperimentStatus(conditions=found.status.conditions))


def table(kind: Kind, found: Sequence[Found], given: Namespace, now: datetime) -> list[list[str]]:
    """Headings and one row for each object: by name, or trials of one Experiment by their objective."""
    columns = columns_of(kind, wide=given.output == "wide", with_namespace=given.all_namespaces)
    ordered: Sequence[KubeObject] = sorted(found, key=lambda obj: obj.key)
    if given.experiment:
        ordered = by_objective(obj for obj in found if isinstance(obj, Trial))
    return [[column.heading for column in columns], *(row(obj, columns, now) for obj in ordered)]


async def _watch(given: Namespace, session: Session, raws: dict[Kind, list[bytes]], version: str) -> None:
    """A row for each change below the table, in its columns."""
    ((kind, found),) = raws.items()
    decode = decoder_for(kind)
    widths = measure(table(kind, decode_all(kind, found), given, datetime.now(UTC)))
    async for raw in follow(
        session,
        kind.resource,
        namespace="" if given.all_namespaces else session.namespace,
        labels=_selector(given),
        name=given.names[0] if given.names else "",
        since=version,
        known=found,
    ):
        if given.output == "name":
            _print_names({kind: [raw]})
        else:
            cells = table(kind, [_decode(kind, decode, raw)], given, datetime.now(UTC))[1]
            sys.stdout.write(align([cells], widths=widths)[0] + "\n")
        sys.stdout.flush()
