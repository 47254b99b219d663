"""django-push-notifications as its README uses it: devices in its own tables, `objects.filter().send_message()`.

The tables are SQLite's. Three things point it at the stand-in: the APNs host and port of aioapns, the HTTP/2 offer that
aioapns leaves out of TLS, and the address of FCM in firebase-admin. Sent in slices of 500, since each request of a call
may take one second from the call's beginning, and 500 is the most that firebase-admin takes.
"""

from __future__ import annotations

import functools
import json
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aioapns.connection
import django
import firebase_admin
import firebase_admin.messaging
from django.conf import settings
from django.core.management import call_command

SLICE = 500


def main(job: dict[str, Any]) -> None:
    """Set up, warm up, wait for a line, send the rest, say what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="peer-", dir=job["folder"]))
    configure(job, folder)
    send = {"apns": apns, "fcm": fcm, "webpush": web_push}[job["service"]](job)
    send(range(job["warm_up"]))
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    started = time.monotonic()
    accepted, failed = send(range(job["warm_up"], len(job["devices"])))
    seconds = time.monotonic() - started
    print(json.dumps({"accepted": accepted, "failed": failed, "seconds": seconds}), flush=True)  # noqa: T201
    sys.stdin.read()


def configure(job: dict[str, Any], folder: Path) -> None:
    """Django with nothing but the peer, as small as it goes."""
    key = folder / "apns.p8"
    key.write_text(job["apns_key"])
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "push_notifications"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "peer.sqlite3"}},
        PUSH_NOTIFICATIONS_SETTINGS={
            "APNS_AUTH_KEY_PATH": str(key),
            "APNS_AUTH_KEY_ID": "DEMOKEY001",
            "APNS_TEAM_ID": "DEMOTEAM01",
            "APNS_TOPIC": "com.example.app",
            "APNS_USE_SANDBOX": False,
            "FCM_MAX_RECIPIENTS": SLICE,
            "WP_PRIVATE_KEY": job["vapid_key"],
            "WP_CLAIMS": {"sub": "mailto:bench@example.org"},
        },
    )
    django.setup()
    call_command("migrate", verbosity=0)


def apns(job: dict[str, Any]) -> Callable[[range], tuple[int, int]]:
    """Slices by APNs. A call of which a part failed raises, with the reasons of those as a list of words."""
    from push_notifications.exceptions import APNSError
    from push_notifications.models import APNSDevice

    tls = aioapns.connection.APNsTLSClientProtocol
    tls.APNS_PORT = job["port"]
    aioapns.connection.APNsProductionClientProtocol.APNS_SERVER = "localhost"
    aioapns.connection.ssl.create_default_context = functools.partial(_offering_http2, ssl.create_default_context)
    pks = _stored(APNSDevice, [{"registration_id": token} for token in job["devices"]])

    def send_slice(pks: list[int]) -> tuple[int, int]:
        alert = {"title": job["title"], "body": job["text"]}
        try:
            APNSDevice.objects.filter(pk__in=pks).send_message(alert, badge=1)
        except APNSError as error:
            failed = str(error).count(",") + 1
            return len(pks) - failed, failed
        return len(pks), 0

    return functools.partial(_in_slices, pks, send_slice)


def fcm(job: dict[str, Any]) -> Callable[[range], tuple[int, int]]:
    """Slices by FCM."""
    from push_notifications.models import GCMDevice

    service = firebase_admin.messaging._MessagingService
    service.FCM_URL = f"https://localhost:{job['port']}/v1/projects/{{0}}/messages:send"
    firebase_admin.initialize_app(firebase_admin.credentials.Certificate(job["service_account"]))
    pks = _stored(GCMDevice, [{"registration_id": token} for token in job["devices"]])

    def send_slice(pks: list[int]) -> tuple[int, int]:
        answers = GCMDevice.objects.filter(pk__in=pks).send_message(job["text"], extra={"title": job["title"]})
        return answers.success_count, answers.failure_count

    return functools.partial(_in_slices, pks, send_slice)


def web_push(job: dict[str, Any]) -> Callable[[range], tuple[int, int]]:
    """Slices by Web Push, one request after the other: it offers nothing else."""
    from push_notifications.models import WebPushDevice

    subscriptions = [json.loads(device) for device in job["devices"]]
    pks = _stored(WebPushDevice, [{"registration_id": one["endpoint"], **one["keys"]} for one in subscriptions])

    def send_slice(pks: list[int]) -> tuple[int, int]:
        payload = json.dumps({"title": job["title"], "body": job["text"]})
        answers = WebPushDevice.objects.filter(pk__in=pks).send_message(payload)
        accepted = sum(answer.get("success", 0) for answer in answers)
        return accepted, len(pks) - accepted

    return functools.partial(_in_slices, pks, send_slice)


def _offering_http2(make: Callable[..., ssl.SSLContext], *args: Any, **options: Any) -> ssl.SSLContext:
    context = make(*args, **options)
    context.set_alpn_protocols(["h2"])
    return context


def _stored(model: Any, rows: Iterable[dict[str, str]]) -> list[int]:
    model.objects.bulk_create([model(**row) for row in rows], batch_size=SLICE)
    return list(model.objects.order_by("pk").values_list("pk", flat=True))


def _in_slices(pks: list[int], send_slice: Callable[[list[int]], tuple[int, int]], which: range) -> tuple[int, int]:
    wanted = pks[which.start : which.stop]
    totals = [send_slice(wanted[first : first + SLICE]) for first in range(0, len(wanted), SLICE)]
    return sum(accepted for accepted, _ in totals), sum(failed for _, failed in totals)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
