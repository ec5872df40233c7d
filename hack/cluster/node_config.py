"""Configuration files of what runs inside the node: containerd, CNI, kubelet, kube-proxy, CoreDNS."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.layout import Layout

# in the node's own /run: a path in the cluster's folder could exceed the 107 bytes of a socket's address
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")
# unpacking into memory is twice as fast as onto a disk, and is gone with the node; half of it is used at most
ENOUGH_MEMORY = 8 << 30
# what the kubelet insists on, for the whole machine: it is shown these values and changes nothing
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def cni_folder(folders: Sequence[Path] = CNI_FOLDERS) -> Path | None:
    """The folder that holds every CNI plugin needed."""
    for folder in folders:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    return None


def image_store_in_memory(choice: str, meminfo: str) -> bool:
    """Whether images go to memory: ``memory``, ``disk``, or ``auto`` by the text of ``/proc/meminfo``."""
    if choice != "auto":
        return choice == "memory"
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return match is not None and int(match[1]) << 10 >= ENOUGH_MEMORY


def write_configs(
    layout: Layout, programs: Mapping[str, Path], *, plugins: Path, pause_image: str, in_memory: bool
) -> Path:
    """Write all files below ``node/`` of the cluster's folder; the path of the init's own."""
    folder = layout.folder / "node"
    for name in ("cni", "containerd"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "resolv.conf").write_text("")
    (folder / "containerd.toml").write_text(
        containerd_config(folder, plugins=plugins, pause_image=pause_image)
    )
    (folder / "cni" / "10-kfx.conflist").write_text(json.dumps(cni_config(layout)))
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(kubelet_config(layout)))
    (folder / "kube-proxy.yaml").write_text(yaml.safe_dump(proxy_config(layout)))
    (folder / "Corefile").write_text(corefile(layout))
    init = folder / "init.json"
    init.write_text(json.dumps(init_config(layout, programs, in_memory=in_memory)))
    return init


def go_ahead_file(layout: Layout) -> Path:
    """Appears when the API server answers: what needs it starts then."""
    return layout.folder / "node" / "go-ahead"


def containerd_config(folder: Path, *, plugins: Path, pause_image: str) -> str:
    """Version 2 of the format, which containerd 1.6 reads and 2.x converts."""
    unused = ("snapshotter.v1.btrfs", "snapshotter.v1.zfs", "snapshotter.v1.aufs", "snapshotter.v1.devmapper")
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = [{", ".join(f'"io.containerd.{name}"' for name in unused)}]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[{cri}]
  sandbox_image = "{pause_image}"
  disable_apparmor = true
  # a root that lacks CAP_SYS_RESOURCE may not lower an oom score, as the kubelet asks for
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[{cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
[{cri}.cni]
  bin_dir = "{plugins}"
  conf_dir = "{folder}/cni"
"""


def cni_config(layout: Layout) -> dict[str, Any]:
    """A routed link for each pod: between pods, traffic by a Service's address needs no br_netfilter."""
    ranges = [[{"subnet": layout.pod_cidr}]]
    address_pool = {
        "type": "host-local",
        "dataDir": str(layout.folder / "node" / "addresses"),
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "kfx",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": address_pool},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet_config(layout: Layout) -> dict[str, Any]:
    """No eviction and no image collection: the disk is the user's, and images come only by hand."""
    folder = layout.folder / "node"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": layout.node_ip,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "podLogsDir": str(folder / "pod-logs"),
        "resolvConf": str(folder / "resolv.conf"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [layout.dns_service_ip],
        "evictionHard": dict.fromkeys(
            ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%"
        ),
        "imageGCHighThresholdPercent": 100,
        "enforceNodeAllocatable": ["pods"],
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "maxPods": 100,
        "volumePluginDir": str(folder / "volume-plugins"),
    }


def proxy_config(layout: Layout) -> dict[str, Any]:
    """Connection tracking limits belong to the machine: left alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.pki / "proxy.kubeconfig")},
        "mode": "iptables",
        "clusterCIDR": layout.pod_cidr,
        "hostnameOverride": layout.node_name,
        "bindAddress": layout.node_ip,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"syncPeriod": "30s", "minSyncPeriod": "0s"},
    }


def corefile(layout: Layout) -> str:
    """Names of the cluster; any other does not exist, said at once."""
    return f"""cluster.local:53 {{
  bind {layout.node_ip}
  kubernetes cluster.local {{
    kubeconfig {layout.pki / "dns.kubeconfig"} {layout.name}
  }}
}}
.:53 {{
  bind {layout.node_ip}
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"""


def init_config(layout: Layout, programs: Mapping[str, Path], *, in_memory: bool) -> dict[str, Any]:
    """What :mod:`hack.cluster.node_init` reads."""
    folder, after = layout.folder / "node", str(go_ahead_file(layout))
    kubelet = [
        f"--config={folder / 'kubelet.yaml'}",
        f"--kubeconfig={layout.pki / 'node.kubeconfig'}",
        f"--hostname-override={layout.node_name}",
        f"--node-ip={layout.node_ip}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet-pki'}",
    ]
    services = [
        ("containerd", ["containerd", "--config", str(folder / "containerd.toml")], ""),
        ("kubelet", [str(programs["kubelet"]), *kubelet], after),
        ("kube-proxy", [str(programs["kube-proxy"]), f"--config={folder / 'kube-proxy.yaml'}"], after),
        ("coredns", [str(programs["coredns"]), "-conf", str(folder / "Corefile")], after),
    ]
    return {
        "hostname": layout.node_name,
        "keep": [str(layout.folder), *sorted({str(path.parent) for path in programs.values()})],
        "in_memory": [str(folder / "containerd")] if in_memory else [],
        "kernel_settings": KERNEL_SETTINGS,
        "services": [
            {"name": name, "command": command, "log": str(layout.logs / f"{name}.log"), "after": begin}
            for name, command, begin in services
        ],
    }
