"""The generated gRPC messages belong to the proto file beside them."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_committed_messages_are_those_the_proto_file_generates() -> None:
    script = ROOT / "hack" / "proto" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate_proto", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = (ROOT / "kfx" / "services" / "pb" / "api_pb2.py").read_text()
    assert module.generate() == committed, "run `make generate` and commit the result"
