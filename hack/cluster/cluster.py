#!/usr/bin/env python3
"""Command line of the test clusters: up, down, status, env, load …; ``--help`` tells. Also a script."""

import argparse
import http.client
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from hack.cluster import binaries, control_plane, lifecycle, network, node, prerequisites, tokens
from hack.cluster.api import ApiRefusal
from hack.cluster.binaries import say
from hack.cluster.cgroups import CgroupError
from hack.cluster.layout import Layout, cache_dir
from hack.image.pause import CompileError

EXPECTED = (
    ApiRefusal,
    CgroupError,
    CompileError,
    OSError,
    TimeoutError,
    ValueError,
    RuntimeError,
    http.client.HTTPException,
    binaries.BuildError,
    control_plane.StartError,
    lifecycle.AlreadyUp,
    network.NetworkError,
    node.ImageError,
    prerequisites.Missing,
)


def up(layout: Layout, arguments: argparse.Namespace) -> None:
    """Prerequisites, binaries, then the cluster; says at the end how to use it."""
    wants_node = arguments.flavour == lifecycle.NODE
    prerequisites.ensure(node=wants_node)
    if not layout.linked:
        say(
            f"without root the cluster has loopback addresses only ({layout.loopback}): "
            "webhooks and servers of the host cannot be published as Services"
        )
    options = lifecycle.Options(
        flavour=arguments.flavour,
        linked=layout.linked,
        audit=arguments.audit,
        image_store=arguments.image_store,
        api_server_flags=arguments.apiserver_arg,
    )
    lifecycle.up(layout, options, images=arguments.image)
    say(f"export KUBECONFIG={shlex.quote(str(layout.kubeconfig))}")


def down(layout: Layout, arguments: argparse.Namespace) -> None:
    """Nothing to take down is no error."""
    del arguments
    say(f"cluster {layout.name} is down" if lifecycle.down(layout) else f"there is no cluster {layout.name}")


def status(layout: Layout, arguments: argparse.Namespace) -> int:
    """0 when everything runs, 1 when a part does not, 3 when there is no cluster."""
    del arguments
    options = lifecycle.load_options(layout.folder)
    if options is None:
        print(f"there is no cluster {layout.name}")
        return 3
    parts = lifecycle.states(layout, options)
    print(f"cluster {layout.name} ({options.flavour}) at {layout.api_server}")
    for part in parts:
        print(f"  {part.name:<25} {f'runs, pid {part.pid}' if part.running else 'DOES NOT RUN'}")
    answering = control_plane.is_answering(layout)
    print(f"  the API server {'answers' if answering else 'DOES NOT ANSWER'}")
    print(f"  kubeconfig {layout.kubeconfig}\n  logs {layout.logs}")
    return 0 if answering and all(part.running for part in parts) else 1


def kubeconfig(layout: Layout, arguments: argparse.Namespace) -> None:
    """Print the administrator's kubeconfig's path."""
    del arguments
    _require(layout)
    print(layout.kubeconfig)


def env(layout: Layout, arguments: argparse.Namespace) -> None:
    """Print what other programs need to know, as shell assignments."""
    del arguments
    options = _require(layout)
    tools = binaries.NODE if options.flavour == lifecycle.NODE else binaries.CONTROL_PLANE
    values = {
        "KFX_CLUSTER": layout.name,
        "KFX_FLAVOUR": options.flavour,
        "KFX_KUBECONFIG": layout.kubeconfig,
        "KFX_API_SERVER": layout.api_server,
        "KFX_HOST_IP": layout.host_ip,
        "KFX_NODE": layout.node_name,
        "KFX_NODE_IP": layout.node_ip,
        "KFX_POD_CIDR": layout.pod_cidr,
        "KFX_SVC_CIDR": layout.service_cidr,
        "KFX_AUDIT_LOG": layout.audit_log,
        "KFX_LOGS": layout.logs,
        "KFX_KUBECTL": binaries.find(tools, layout.cache)["kubectl"],
    }
    for name, value in values.items():
        print(f"{name}={shlex.quote(str(value))}")


def load(layout: Layout, arguments: argparse.Namespace) -> None:
    """Import archives into the node."""
    with node.loading(layout, arguments.archive):
        say(f"loading {', '.join(str(archive) for archive in arguments.archive)}")


def images(layout: Layout, arguments: argparse.Namespace) -> None:
    """Print the references of the node's images."""
    del arguments
    print("\n".join(node.images(layout)))


def logs(layout: Layout, arguments: argparse.Namespace) -> None:
    """Print the paths of all logs, or one log."""
    if not arguments.part:
        print("\n".join(str(file) for file in sorted(layout.logs.glob("*.log"))))
        return
    file = layout.logs / f"{arguments.part}.log"
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such log; without a name, logs lists them")
    print(file.read_text(errors="replace"), end="")


def check(layout: Layout, arguments: argparse.Namespace) -> int:
    """Print what is missing for the flavour, a line for each; 1 if anything is."""
    del layout
    lacks = prerequisites.check(node=arguments.flavour == lifecycle.NODE)
    for lack in lacks:
        print(lack)
    return 1 if lacks else 0


def install(layout: Layout, arguments: argparse.Namespace) -> None:
    """Debian packages and binaries, so that ``up`` has nothing left to make."""
    wants_node = arguments.flavour == lifecycle.NODE
    prerequisites.ensure(node=wants_node)
    binaries.find(binaries.NODE if wants_node else binaries.CONTROL_PLANE, layout.cache)


def token_kubeconfig(layout: Layout, arguments: argparse.Namespace) -> None:
    """Write a kubeconfig that speaks as a service account."""
    _require(layout)
    tokens.write_token_kubeconfig(
        layout,
        namespace=arguments.namespace,
        service_account=arguments.serviceaccount,
        file=arguments.out,
        seconds=arguments.duration,
    )


def parse_duration(text: str) -> int:
    """Seconds of ``90s``, ``15m``, ``24h``."""
    match = re.fullmatch(r"(\d+)([smh])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 15m or 24h")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _require(layout: Layout) -> lifecycle.Options:
    options = lifecycle.load_options(layout.folder)
    if options is None:
        raise FileNotFoundError(
            f"there is no cluster {layout.name}: bring it up first (up --index {layout.index})"
        )
    return options


def find_layout(index: int) -> Layout:
    """The layout of the cluster that is there, else of one that this user could bring up."""
    layout = Layout(index, cache_dir())
    options = lifecycle.load_options(layout.folder)
    return replace(layout, linked=options.linked if options else prerequisites.can_link())


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="cluster.py", description="Real Kubernetes clusters on this machine."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        run: Callable[[Layout, argparse.Namespace], int | None], name: str, text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--index", type=int, default=0, help="which cluster, 0 to 255 (default 0, the user's)"
        )
        sub.set_defaults(run=run)
        return sub

    flavoured = [
        command(up, "up", "bring the cluster up"),
        command(check, "check", "print what this machine lacks for the flavour"),
        command(install, "install", "install packages and build binaries for the flavour"),
    ]
    for sub in flavoured:
        sub.add_argument(
            "--flavour", choices=(lifecycle.CONTROL_PLANE, lifecycle.NODE), default=lifecycle.NODE
        )
    flavoured[0].add_argument("--audit", action="store_true", help="write an audit log")
    flavoured[0].add_argument("--apiserver-arg", action="append", default=[], metavar="FLAG=VALUE")
    flavoured[0].add_argument("--image-store", choices=("auto", "memory", "disk"), default="auto")
    flavoured[0].add_argument("--image", action="append", default=[], type=Path, metavar="FILE.tar")
    command(down, "down", "take the cluster down and leave nothing")
    command(status, "status", "say what runs")
    command(kubeconfig, "kubeconfig", "print the path of the administrator's kubeconfig")
    command(env, "env", "print addresses and paths as shell assignments")
    command(images, "images", "list the node's images")
    command(load, "load", "load image archives into the node").add_argument("archive", nargs="+", type=Path)
    command(logs, "logs", "list the logs, or print one").add_argument("part", nargs="?")
    token = command(token_kubeconfig, "token-kubeconfig", "write a service account's kubeconfig")
    token.add_argument("--namespace", required=True)
    token.add_argument("--serviceaccount", required=True)
    token.add_argument("--out", required=True, type=Path)
    token.add_argument("--duration", type=parse_duration, default="24h")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: what the command says, 1 on an error that could be expected, 130 on Ctrl-C."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.run(find_layout(arguments.index), arguments) or 0
    except BrokenPipeError:
        # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EXPECTED as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
