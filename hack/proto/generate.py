"""Writes kfx/services/pb/api_pb2.py from api.proto. Run it after every change of the proto file.

The generated module is bound to a descriptor pool of its own: Katib's SDK registers the same symbols
in the process-wide pool, and the second to come would be refused.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

PROTO = Path(__file__).with_name("api.proto")
TARGET = Path(__file__).parents[2] / "kfx" / "services" / "pb" / "api_pb2.py"

_SHARED_POOL = "_descriptor_pool.Default()"
_OWN_POOL = "_descriptor_pool.DescriptorPool()"


def generate() -> str:
    """The text of ``api_pb2.py``. Raises RuntimeError where protoc refuses the file."""
    with tempfile.TemporaryDirectory() as folder:
        status = protoc.main(["protoc", f"--proto_path={PROTO.parent}", f"--python_out={folder}", PROTO.name])
        if status != 0:
            raise RuntimeError(f"protoc ended with status {status}: correct {PROTO}")
        text = (Path(folder) / TARGET.name).read_text()
    if text.count(_SHARED_POOL) != 1:
        raise RuntimeError(f"protoc's output has no single {_SHARED_POOL}: adapt {Path(__file__).name}")
    return text.replace(_SHARED_POOL, _OWN_POOL)


def main() -> int:
    """Writes the module."""
    TARGET.write_text(generate())
    return 0


if __name__ == "__main__":
    sys.exit(main())
