"""Fill the database with devices: COPY, since a million registrations by the API would take ten minutes."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping

from django.db import connection

from devices.models import Application, Channel
from devices.push_services import PushService
from devices.registration import ensure_channels
from messaging.simulators.accounts import demo_token

#: the largest campaign; the others are fixed parts of it, so that a small number tries everything out quickly
MOST_DEVICES = int(os.environ.get("CLARION_BENCH_DEVICES", 1_000_000))

_OS = {PushService.APNS: "IOS", PushService.FCM: "ANDROID", PushService.WEBPUSH: "WEB"}
_COPY = (
    "COPY devices_deviceregistration (registration_id, application_id, device_id, token, token_digest, os, os_version, "
    "push_service, user_id, locale, time_zone, attributes, state, gone_reason) FROM STDIN"
)


def populate(
    application: Application, channel_name: str, services: Iterable[PushService], *, devices: int, url: str = ""
) -> Channel:
    """A new channel with devices `<channel>-<number>`, the services by turns; Web Push endpoints lie below `url`."""
    (channel,) = ensure_channels(application, [channel_name])
    lines = _lines(application.pk, channel_name, list(services), devices, {"webpush": url})
    with connection.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for line in lines:
                copy.write(line)
        cursor.execute(
            "INSERT INTO devices_subscription (channel_id, registration_id, os, push_service, is_active) "
            "SELECT %s, id, os, push_service, true "
            "FROM devices_deviceregistration WHERE application_id = %s AND device_id LIKE %s ORDER BY id",
            [channel.pk, application.pk, f"{channel_name}-%"],
        )
        # What autovacuum would do in the middle of the measurement
        cursor.execute("VACUUM ANALYZE devices_deviceregistration, devices_subscription")
        cursor.execute("CHECKPOINT")
    return channel


def _lines(
    application_pk: int, prefix: str, services: list[PushService], devices: int, urls: Mapping[str, str]
) -> Iterator[str]:
    # devices of different channels have different tokens, whose numbers have eight hexadecimal digits
    first_number = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:1], "big") << 23
    for n in range(devices):
        service = services[n % len(services)]
        token = demo_token(service.value, first_number + n, urls=urls)
        digest = hashlib.sha256(token.encode()).hexdigest()
        yield (
            f"{uuid.uuid4()}\t{application_pk}\t{prefix}-{n}\t{token}\t\\\\x{digest}\t{_OS[service]}\t18\t"
            f"{service.value}\t\t\t\t{{}}\tactive\t\n"
        )
