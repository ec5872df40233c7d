"""The text of kfx/services/pb/api_pb2.py, from api.proto; `make generate` writes it.

The generated module is bound to a descriptor pool of its own: Katib's SDK registers the same symbols
in the process-wide pool, and the second to come would be refused.
"""

import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

PROTO = Path(__file__).with_name("api.proto")

_SHARED_POOL = "_descriptor_pool.Default()"
_OWN_POOL = "_descriptor_pool.DescriptorPool()"


def generate() -> str:
    """The text of ``api_pb2.py``. Raises RuntimeError where protoc refuses the file."""
    with tempfile.TemporaryDirectory() as folder:
        status = protoc.main(["protoc", f"--proto_path={PROTO.parent}", f"--python_out={folder}", PROTO.name])
        if status != 0:
            raise RuntimeError(f"protoc ended with status {status}: correct {PROTO}")
        text = Path(folder, f"{PROTO.stem}_pb2.py").read_text()
    if text.count(_SHARED_POOL) != 1:
        raise RuntimeError(f"protoc's output has no single {_SHARED_POOL}: adapt {Path(__file__).name}")
    return text.replace(_SHARED_POOL, _OWN_POOL)
