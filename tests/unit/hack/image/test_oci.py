"""Archives that are images: the same bytes for the same content."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from hack.image.oci import (
    Image,
    content_hash,
    pack_layer,
    remember_layer,
    remembered_layer,
    write_image,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "var" / "state").mkdir(parents=True)
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o755)
    (folder / "link").symlink_to("program")
    return folder


def test_times_and_owners_of_the_machine_do_not_show(root: Path, tmp_path: Path) -> None:
    first = pack_layer(root, tmp_path / "a", owners={"var/state": 65532})
    os.utime(root / "program", (1, 1))
    second = pack_layer(root, tmp_path / "b", owners={"var/state": 65532})
    assert first.digest == second.digest == hashlib.sha256(first.file.read_bytes()).hexdigest()
    assert first.size == first.file.stat().st_size
    with tarfile.open(first.file) as archive:
        entries = {entry.name: entry for entry in archive}
    assert {name: entry.uid for name, entry in entries.items()} == {
        "link": 0, "program": 0, "var": 0, "var/state": 65532,
    }  # fmt: skip
    assert entries["program"].mode == 0o755
    assert {entry.mtime for entry in entries.values()} == {0}


def test_an_image_refers_to_everything_by_its_digest(root: Path, tmp_path: Path) -> None:
    layer = pack_layer(root, tmp_path / "layers")
    image = Image("kfx.local/x:abc", tmp_path / "out" / "x.tar")
    write_image(image, [layer], {"Entrypoint": ["/program"]})
    with tarfile.open(image.archive) as archive:
        content = {
            entry.name: stream.read()
            for entry in archive
            if (stream := archive.extractfile(entry)) is not None
        }
    for name, data in content.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "kfx.local/x:abc"
    manifest = json.loads(content[blob(entry["digest"])])
    config = json.loads(content[blob(manifest["config"]["digest"])])
    assert config["config"] == {"Entrypoint": ["/program"]}
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer.digest}"]
    assert [entry["digest"] for entry in manifest["layers"]] == config["rootfs"]["diff_ids"]


def blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def test_a_layer_is_remembered_as_long_as_its_file_is_there(root: Path, tmp_path: Path) -> None:
    layer, note = pack_layer(root, tmp_path / "layers"), tmp_path / "note.json"
    assert remembered_layer(note) is None
    remember_layer(note, layer)
    assert remembered_layer(note) == layer
    layer.file.unlink()
    assert remembered_layer(note) is None


def test_the_hash_sees_content_names_and_modes_but_no_compiled_python(root: Path) -> None:
    hashes = [content_hash(root)]

    def differs() -> bool:
        hashes.append(content_hash(root))
        return hashes[-1] not in hashes[:-1]

    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").touch()
    assert not differs()
    (root / "program").write_text("#!/bin/bash\n")
    assert differs()
    (root / "program").chmod(0o644)
    assert differs()
    (root / "program").rename(root / "renamed")
    assert differs()


def test_the_hash_knows_where_one_part_ends() -> None:
    assert content_hash(b"ab", b"c") != content_hash(b"a", b"bc")
