"""What the servers count of themselves: requests of the API server, writes of etcd."""

import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from hack.cluster.api import Api
from hack.cluster.layout import Layout

REQUESTS = "apiserver_request_total"
WRITING = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}
ETCD = ("etcd_mvcc_put_total", "etcd_mvcc_delete_total")


@dataclass(frozen=True, slots=True)
class Written:
    """Writes since the API server's start: by verb and resource (``"PATCH trials/status"``), and etcd's own.

    ``refused``: requests that were answered with an error, by the same names.
    """

    requests: Mapping[str, int]
    refused: Mapping[str, int]
    etcd: int

    def since(self, before: "Written") -> "Written":
        """What came after ``before``."""
        return Written(
            Counter(self.requests) - Counter(before.requests),
            Counter(self.refused) - Counter(before.refused),
            self.etcd - before.etcd,
        )


def read_written(layout: Layout) -> Written:
    """From ``/metrics`` of both."""
    requests, refused = count_writes(Api.load(layout.kubeconfig).request("GET", "/metrics"))
    with urllib.request.urlopen(f"{layout.etcd}/metrics", timeout=10) as answer:  # noqa: S310 — http
        text = answer.read().decode()
    return Written(requests, refused, sum(int(samples(text, name)) for name in ETCD))


def count_writes(text: str) -> tuple[Counter[str], Counter[str]]:
    """Writes that were performed, and those that were refused."""
    done, refused = Counter[str](), Counter[str]()
    lines = "\n".join(line for line in text.splitlines() if line.startswith(f"{REQUESTS}{{"))
    for family in text_string_to_metric_families(lines + "\n"):
        for sample in family.samples:
            labels = sample.labels
            if labels["verb"] not in WRITING:
                continue
            name = "/".join(filter(None, (labels["resource"], labels["subresource"])))
            target = done if labels["code"].startswith("2") else refused
            target[f"{labels['verb']} {name}"] += int(sample.value)
    return done, refused


def samples(text: str, name: str) -> float:
    """The sum of a counter's series."""
    found = 0.0
    for line in text.splitlines():
        key, _, value = line.rpartition(" ")
        if key == name or key.startswith(f"{name}{{"):
            found += float(value)
    return found


def histogram_quantile(text: str, name: str, share: float) -> float:
    """Of a histogram without labels, linear within a bucket, as Prometheus reckons; 0 where it is empty."""
    bounds: list[tuple[float, float]] = []
    for line in text.splitlines():
        if line.startswith(f"{name}_bucket{{"):
            key, _, value = line.rpartition(" ")
            bounds.append((float(key.partition('le="')[2].partition('"')[0]), float(value)))
    whole = bounds[-1][1] if bounds else 0.0
    below, lower = 0.0, 0.0
    for upper, count in bounds:
        if whole and count >= share * whole:
            inside = count - below
            return (
                lower if upper == float("inf") else lower + (upper - lower) * (share * whole - below) / inside
            )
        below, lower = count, upper
    return 0.0
