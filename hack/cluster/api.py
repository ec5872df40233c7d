"""A small blocking client of the API server, for bringing a cluster up: standard library only."""

import base64
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class ApiRefusal(Exception):
    """The API server answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Speaks to one server as the user of one kubeconfig."""

    server: str
    tls: ssl.SSLContext

    @classmethod
    def load(cls, kubeconfig: Path) -> "Api":
        """From a kubeconfig as :func:`hack.cluster.certificates.write_kubeconfig` writes it."""
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile(dir=kubeconfig.parent) as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            tls.load_cert_chain(pair.name)
        return cls(cluster["server"], tls)

    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json"
    ) -> Any:
        """The decoded answer, text where it is not JSON. Raises ApiRefusal; OSError when nothing answers."""
        address = urlsplit(self.server)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=10, context=self.tls
        )
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": content_type})
            response = connection.getresponse()
            content = response.read()
            is_json = "json" in response.getheader("Content-Type", "")
        finally:
            connection.close()
        answer = json.loads(content) if is_json else content.decode(errors="replace")
        if response.status >= 400:
            message = answer.get("message", "") if isinstance(answer, dict) else answer
            raise ApiRefusal(response.status, f"{method} {path}: {response.status} {message}"[:1024])
        return answer

    def answers(self, path: str) -> bool:
        """Whether a GET succeeds."""
        try:
            self.request("GET", path)
        except (OSError, http.client.HTTPException, ApiRefusal):
            return False
        return True

    def create(self, path: str, manifest: object) -> None:
        """POST; an object that is already there is left alone."""
        try:
            self.request("POST", path, manifest)
        except ApiRefusal as error:
            if error.status != 409:
                raise


def wait_until(condition: Callable[[], bool], *, what: str, timeout: float, interval: float = 0.05) -> None:
    """Ask until ``condition`` holds. Raises TimeoutError naming ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout:.0f} s")
        time.sleep(interval)
