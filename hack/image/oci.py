"""OCI image archives from folders: layers that are the same bytes for the same content."""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MEDIA = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed layer in a file named after its digest (sha256, hexadecimal). ``size`` is in bytes."""

    file: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an archive of its own: ``reference`` is name and tag."""

    reference: str
    archive: Path


def pack_layer(root: Path, folder: Path, *, owners: Mapping[str, int] | None = None) -> Layer:
    """Pack the tree below ``root`` into a layer file in ``folder``.

    Times are dropped; everything belongs to root, but for paths named in ``owners`` (relative, to user id).
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{os.getpid()}.part"

    def normalise(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = (owners or {}).get(entry.name, 0)
        entry.uname = entry.gname = ""
        entry.mtime = 0
        return entry

    with tarfile.open(draft, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(os.listdir(root)):
            archive.add(root / name, arcname=name, filter=normalise)
    with draft.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    file = draft.rename(folder / f"{digest}.tar")
    return Layer(file, digest, file.stat().st_size)


def remembered_layer(note: Path) -> Layer | None:
    """The layer that :func:`remember_layer` noted, if its file is still there."""
    try:
        entry = json.loads(note.read_text())
        layer = Layer(Path(entry["file"]), entry["digest"], entry["size"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return layer if layer.file.exists() else None


def remember_layer(note: Path, layer: Layer) -> None:
    """Note a layer for :func:`remembered_layer`."""
    draft = note.with_name(f".{note.name}.{os.getpid()}")
    draft.write_text(json.dumps({**asdict(layer), "file": str(layer.file)}))
    draft.replace(note)


def write_image(image: Image, layers: Sequence[Layer], config: Mapping[str, Any]) -> None:
    """Write the archive. ``config`` is the OCI image's ``config`` object (Env, Entrypoint, Cmd, User …)."""
    settings = _json(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": _descriptor(f"{_MEDIA}.config.v1+json", _digest(settings), len(settings)),
            "layers": [_descriptor(f"{_MEDIA}.layer.v1.tar", layer.digest, layer.size) for layer in layers],
        }
    )
    names = {
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
    }
    entry = _descriptor(f"{_MEDIA}.manifest.v1+json", _digest(manifest), len(manifest)) | {
        "annotations": names
    }
    image.archive.parent.mkdir(parents=True, exist_ok=True)
    draft = image.archive.with_name(f".{image.archive.name}.{os.getpid()}")
    with tarfile.open(draft, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        for blob in (settings, manifest):
            _add(archive, f"blobs/sha256/{_digest(blob)}", blob)
        for layer in {layer.digest: layer for layer in layers}.values():
            archive.add(layer.file, arcname=f"blobs/sha256/{layer.digest}")
    draft.replace(image.archive)


def content_hash(*parts: bytes | Path) -> str:
    """Twelve hexadecimal digits over texts, files and trees (names, modes, contents; no compiled Python)."""
    digest = hashlib.sha256()
    for part in parts:
        for chunk in (part,) if isinstance(part, bytes) else _chunks(part):
            digest.update(len(chunk).to_bytes(8, "big"))
            digest.update(chunk)
    return digest.hexdigest()[:12]


def _chunks(path: Path) -> list[bytes]:
    if path.is_file():
        return [path.read_bytes()]
    chunks = []
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            mode = oct(file.stat().st_mode & 0o111)
            chunks += [f"{file.relative_to(path)} {mode}".encode(), file.read_bytes()]
    return chunks


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
