"""nginx in the place of APNs, FCM, a push server and Google's token endpoint: it costs little and is not ours.

It takes every request (TLS 1.3, HTTP/2, one worker) and answers as the services do. Its log is what arrived.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from messaging.simulators.exchange import Certificate
from messaging.simulators.tls import ServerContexts, ca_file
from tests.benchmarks.process_trees import ProcessTree

#: nginx and h2load are Debian packages, not Python's: without them there is nothing to measure against
INSTALL = "apt-get install -y nginx-light nghttp2-client"

# Without the two keepalive settings nginx ends a connection after 1,000 requests; the services do not.
_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format arrival "$msec $http_apns_id";
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
        ssl_protocols TLSv1.3;
        keepalive_requests 100000000;
        keepalive_timeout 1h;
        http2_max_concurrent_streams 1000;
        default_type application/json;
        location /3/device/ {{ add_header apns-id $http_apns_id; return 200; }}
        location /v1/projects/ {{ return 200 '{{"name": "projects/clarion-demo/messages/0:$request_id"}}'; }}
        location /push/ {{ add_header location /message/$request_id; return 201; }}
        location = /token {{
            access_log off;
            return 200 '{{"access_token": "ya29.stand-in", "expires_in": 3600, "token_type": "Bearer"}}';
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class StandIn:
    """The running stand-in."""

    folder: Path
    port: int
    ca_file: Path
    tree: ProcessTree

    @property
    def url(self) -> str:
        """Where every service is."""
        return f"https://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Settings that send Clarion's pushes here."""
        return {
            "CLARION_APNS_URL": self.url,
            "CLARION_FCM_URL": self.url,
            "CLARION_GOOGLE_TOKEN_URL": f"{self.url}/token",
            "CLARION_PROVIDER_CA_FILE": str(self.ca_file),
            "CLARION_ALLOW_LOOPBACK_PUSH": "true",
        }

    def arrivals(self) -> list[float]:
        """When each push arrived, in seconds since the epoch, once nginx has written its log."""
        return [float(line.partition(" ")[0]) for line in self._log_lines()]

    def arrivals_at_apns(self) -> list[tuple[str, float]]:
        """The apns-id of each push, the same for every request of a device in one campaign, and when it arrived."""
        fields = [line.split() for line in self._log_lines()]
        return [(apns_id, float(at)) for at, apns_id in fields]

    def forget_arrivals(self) -> None:
        """Start counting anew."""
        self.arrivals()
        with (self.folder / "arrivals.log").open("w"):
            pass  # nginx appends, so it goes on at the new end

    def _log_lines(self) -> list[str]:
        log = self.folder / "arrivals.log"
        size = -1
        while size != log.stat().st_size:
            size = log.stat().st_size
            time.sleep(0.5)
        return log.read_text().splitlines()


@contextmanager
def running_stand_in(nginx: str, folder: Path) -> Iterator[StandIn]:
    """Start nginx in `folder`; stop it at the end."""
    folder.mkdir()
    ServerContexts(folder)
    port = free_port()
    certificate = folder / f"server-{Certificate.GOOD.value}.pem"
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, certificate=certificate))
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port, process, folder / "error.log")
        yield StandIn(folder, port, ca_file(folder), ProcessTree((process.pid,)))
    finally:
        process.terminate()
        process.wait(10)


def find_nginx() -> str | None:
    """nginx; Debian keeps it out of an ordinary user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_version(nginx: str) -> str:
    """As in `nginx/1.22.1`."""
    answer = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/\S+", answer)
    return found[0] if found else answer.strip()


def free_port() -> int:
    """A port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nginx did not start: {log.read_text() if log.exists() else 'no log'}")
