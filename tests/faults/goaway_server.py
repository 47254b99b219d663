"""nginx in the place of APNs and FCM that ends every connection with a GOAWAY after so many requests.

Its log is the judge: nginx is not ours, it names the connection and, for APNs, the token of every request it answered,
and never processes a stream above the last-stream-id it announced (RFC 9113 6.8).
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from messaging.simulators.exchange import Certificate
from messaging.simulators.tls import ServerContexts, ca_file
from tests.benchmarks.provider_stand_in import free_port

_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format arrival "$connection $status $uri";
    access_log {folder}/arrivals.log arrival buffer=64k flush=200ms;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        server_name localhost;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        keepalive_requests {requests};
        http2_max_concurrent_streams 1000;
        default_type application/json;
        location /3/device/ {{ add_header apns-id $http_apns_id; return 200; }}
        location /v1/projects/ {{ return 200 '{{"name": "projects/clarion-demo/messages/0:$request_id"}}'; }}
        location = /token {{
            access_log off;
            return 200 '{{"access_token": "ya29.goaway", "expires_in": 3600, "token_type": "Bearer"}}';
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What nginx answered with 200."""

    by_path: Counter[str]  #: `/3/device/<token>`; FCM's path is the same for every device
    by_connection: Counter[str]

    @property
    def total(self) -> int:
        """Requests of every path."""
        return self.by_path.total()


@dataclass(frozen=True, slots=True)
class GoawayServer:
    """The running nginx."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Where APNs, FCM and Google's token endpoint are."""
        return f"https://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Settings that send Clarion's pushes here."""
        return {
            "CLARION_APNS_URL": self.url,
            "CLARION_APNS_SANDBOX_URL": self.url,
            "CLARION_FCM_URL": self.url,
            "CLARION_GOOGLE_TOKEN_URL": f"{self.url}/token",
            "CLARION_PROVIDER_CA_FILE": str(ca_file(self.folder)),
            "CLARION_ALLOW_LOOPBACK_PUSH": "true",
        }

    def arrivals(self) -> Arrivals:
        """The log; complete once the server was stopped, which flushes it."""
        paths: Counter[str] = Counter()
        connections: Counter[str] = Counter()
        with (self.folder / "arrivals.log").open() as log:
            for line in log:
                connection, status, path = line.split()
                if status == "200":
                    paths[path] += 1
                    connections[connection] += 1
        return Arrivals(paths, connections)


@contextlib.contextmanager
def goaway_server(nginx: str, folder: Path, *, every: int) -> Iterator[GoawayServer]:
    """Start nginx in a new `folder`, with a GOAWAY after `every` requests of a connection; stop it at the end."""
    folder.mkdir()
    ServerContexts(folder)
    port = free_port()
    certificate = folder / f"server-{Certificate.GOOD.value}.pem"
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, certificate=certificate, requests=every))
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for_log(process, folder)
        yield GoawayServer(folder, port)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for_log(process: subprocess.Popen[bytes], folder: Path) -> None:
    give_up_at = time.monotonic() + 10
    while not (folder / "nginx.pid").exists():  # written when it listens
        if time.monotonic() > give_up_at or process.poll() is not None:
            raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()}")
        time.sleep(0.05)
