"""h2load (nghttp2) as the yardstick: what a C client without any of our work reaches on the same provider."""

from __future__ import annotations

import re
import resource
import subprocess
from dataclasses import dataclass

from tests.benchmarks.provider_stand_in import StandIn

_APNS_TOKEN = "0123456789abcdef" * 4
_BODY = '{"aps":{"alert":{"title":"Spring sale","body":"Everything at half price until Sunday"},"sound":"default"}}'


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What h2load reached."""

    rate: float  #: requests per second
    cpu_per_1000: float  #: CPU-seconds of h2load for 1,000 requests


def run_h2load(provider: StandIn, requests: int) -> Yardstick:
    """APNs requests over as many connections and streams as one of our workers uses."""
    body = provider.folder / "body.json"
    body.write_text(_BODY)
    before = _cpu_of_children()
    done = subprocess.run(
        [
            *("h2load", "-n", str(requests), "-c", "2", "-m", "100", "-d", str(body)),
            *(
                "-H",
                "apns-topic: com.example.app",
                "-H",
                "apns-push-type: alert",
                "-H",
                "content-type: application/json",
            ),
            f"https://127.0.0.1:{provider.port}/3/device/{_APNS_TOKEN}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    cpu = _cpu_of_children() - before
    assert f" {requests} succeeded, 0 failed" in done.stdout
    found = re.search(r"([\d.]+) req/s", done.stdout)
    assert found is not None
    return Yardstick(rate=float(found[1]), cpu_per_1000=1000 * cpu / requests)


def h2load_version() -> str:
    """As in `h2load nghttp2/1.52.0`."""
    return subprocess.run(["h2load", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
