"""The REST API as apps and servers call it: over HTTP, through the web server that runs in production."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from devices.api_keys import Permissions, create_api_key
from devices.models import Application, ClientType, DeviceRegistration
from messaging.models import Message
from tests.benchmarks.clarion_processes import postgres_tree, running_web
from tests.benchmarks.provider_stand_in import StandIn, free_port
from tests.benchmarks.report import Report

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

_SECONDS = 6
_AGAIN = "register a device again"
#: devices that register again and again; so few that the second before the measurement registers all of them
_KNOWN = 500
_FEW, _MANY = 8, 32
_NOTE = f"""CPU-seconds for 1,000 requests, over kept connections for {_SECONDS} s. "Again" is a device that is known
with the same facts, as each time an app starts; registrations that meet in a process are stored together, so that the
more come at once the less each costs. Every publish stores a message of its own. wrk is measured apart."""

#: each request has a body of its own; `%d` is the number of the request
_LUA = """
local n, known = {first}, {known}
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  n = n + 1
  if known > 0 then n = n % known end
  return wrk.format(nil, nil, nil, string.format([[{body}]], n, n))
end
"""

_REGISTRATION = json.dumps(
    {
        "deviceId": "bench-%d",
        "deviceToken": "cBenchmark:APA91b" + "x" * 120 + "%d",
        "os": "ANDROID",
        "osVersion": "16",
        "channels": ["default"],
    }
)
_PUBLISH_LIVE = json.dumps({"message": "Number %d of %d", "publishPolicy": "PUBSUB"})
_PUBLISH = json.dumps({"message": "Number %d of %d", "headers": {"android-content-title": "Spring sale"}})


@pytest.mark.parametrize(
    ("work", "path", "body", "model", "connections"),
    [
        ("register a device", "messaging/registrations", _REGISTRATION, DeviceRegistration, _FEW),
        ("register a device", "messaging/registrations", _REGISTRATION, DeviceRegistration, _MANY),
        (_AGAIN, "messaging/registrations", _REGISTRATION, DeviceRegistration, _FEW),
        (_AGAIN, "messaging/registrations", _REGISTRATION, DeviceRegistration, _MANY),
        ("publish", "messaging/default", _PUBLISH, Message, _FEW),
        ("publish to live subscribers alone", "messaging/default", _PUBLISH_LIVE, Message, _FEW),
    ],
)
def test_api_requests(
    work: str,
    path: str,
    body: str,
    model: type[DeviceRegistration] | type[Message],
    connections: int,
    provider: StandIn,
    report: Report,
    tmp_path: Path,
) -> None:
    wrk = shutil.which("wrk")
    if wrk is None:
        pytest.skip("wrk is needed: apt-get install -y wrk")
    report.describe_database()
    application = Application.objects.create(name="Benchmark")
    _, key = create_api_key(application, "benchmark", ClientType.REST, Permissions(may_publish=True))
    database, port = postgres_tree(), free_port()
    url = f"http://127.0.0.1:{port}/{str(application.application_id).upper()}/{key}/{path}"
    with running_web(provider, port) as web:
        # the first requests load what the others find loaded
        known = _KNOWN if work == _AGAIN else 0
        load = partial(_run_wrk, wrk, url, connections)
        load(_script(tmp_path, body, first=10_000_000, known=known), seconds=1)
        before = web.cpu_seconds(), database.cpu_seconds()
        answer = load(_script(tmp_path, body, first=0, known=known), seconds=_SECONDS)
        used = web.cpu_seconds() - before[0], database.cpu_seconds() - before[1]

    requests = _number(r"(\d+) requests in", answer)
    assert "Non-2xx" not in answer
    assert model.objects.count() >= (known or requests)
    rate = _number(r"Requests/sec:\s+([\d.]+)", answer)
    per_1000 = [1000 * seconds / requests for seconds in used]
    report.add(
        "REST API",
        {
            "work": work,
            "connections": str(connections),
            "requests": f"{requests:,.0f}",
            "web": f"{per_1000[0]:.3f}",
            "PostgreSQL": f"{per_1000[1]:.3f}",
            "web + PostgreSQL": f"{sum(per_1000):.3f}",
            "requests/s": f"{rate:,.0f}",
        },
        note=_NOTE,
    )


def _script(folder: Path, body: str, *, first: int, known: int) -> Path:
    path = folder / f"requests-from-{first}.lua"
    path.write_text(_LUA.format(body=body, first=first, known=known))
    return path


def _run_wrk(wrk: str, url: str, connections: int, script: Path, *, seconds: int) -> str:
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), "-H", "Host: localhost", url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None
    return float(found[1])
