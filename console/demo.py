"""The demo: an application with 10,000 simulated devices whose providers are the built-in simulators."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from devices.api_keys import Permissions, create_api_key
from devices.models import Application, ClientType, DeviceRegistration, Segment, Subscription
from devices.push_services import NATIVE_PUSH_SERVICE, Os, PushService
from devices.registration import ensure_channels
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts, demo_token

DEMO_DEVICES = 10_000
#: share of each operating system, in devices of 20
_SHARES: dict[Os, int] = {Os.ANDROID: 9, Os.IOS: 7, Os.WEB: 3, Os.WP: 1}
#: one device in so many behaves like this; the others are well. The first word that fits counts
_BEHAVIOURS = {41: "dead", 149: "slow", 211: "500x1", 1999: "429-2x1"}
_CHANNELS = ("default", "news", "offers")
#: attributes to try segments with; 7 and 3 share no factor with the 20 devices of a round
_PLANS = ("gold", "silver", "silver", "basic", "basic", "basic", "basic")
_CITIES = ("Berlin", "Lisbon", "Oslo")


@dataclass(frozen=True, slots=True)
class DemoKeys:
    """What a visitor needs for the first call."""

    application_id: str
    rest_key: str
    client_key: str


def ensure_demo(urls: Mapping[str, str]) -> DemoKeys:
    """The demo application, made at the first start; its credentials follow the simulators' addresses."""
    path = settings.DATA_DIR / "demo.json"
    application = Application.objects.filter(is_simulated=True).first()
    if application is not None and path.exists():
        _refresh(application, urls)
        _follow_ports(application, urls)
        return DemoKeys(**json.loads(path.read_text()))
    with transaction.atomic():
        application = application or Application.objects.create(name="Demo", is_simulated=True)
        keys = _make_keys(application)
        _refresh(application, urls)
        if not application.registrations.exists():
            _make_devices(application, urls)
            Segment.objects.create(application=application, name="Gold customers", query="plan = 'gold'")
        path.touch(mode=0o600)
        path.write_text(json.dumps({name: getattr(keys, name) for name in keys.__slots__}))
    return keys


def _make_keys(application: Application) -> DemoKeys:
    _, rest = create_api_key(application, "Server", ClientType.REST, Permissions(may_publish=True))
    _, client = create_api_key(application, "Apps", ClientType.JS, Permissions())
    return DemoKeys(str(application.application_id).upper(), rest, client)


def _refresh(application: Application, urls: Mapping[str, str]) -> None:
    """Store the simulators' accounts where they differ from what is stored."""
    known = {row.push_service for row in application.credentials.all()}
    for service, values in demo_accounts(settings.DATA_DIR, urls).items():
        if service not in known:
            store_credential(application, PushService(service), values)


def _follow_ports(application: Application, urls: Mapping[str, str]) -> None:
    """Simulators that had to take other ports leave devices with dead addresses: move them along."""
    for service, base in ((PushService.WNS, urls["wns"]), (PushService.WEBPUSH, urls["webpush"])):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE devices_deviceregistration r SET token = moved.token, "
                "token_digest = sha256(convert_to(moved.token, 'UTF8')) FROM (SELECT id, "
                "regexp_replace(token, 'https://localhost:[0-9]+', %s) AS token FROM devices_deviceregistration "
                "WHERE application_id = %s AND push_service = %s) moved "
                "WHERE moved.id = r.id AND moved.token <> r.token",
                [base, application.pk, service.value],
            )


def _make_devices(application: Application, urls: Mapping[str, str]) -> None:
    channels = ensure_channels(application, list(_CHANNELS))
    rows = [_device(application, n, os, urls) for n, os in zip(range(1, DEMO_DEVICES + 1), _oses(), strict=False)]
    devices = DeviceRegistration.objects.bulk_create(rows, batch_size=2_000)
    default, news, offers = channels
    subscriptions = [Subscription(channel=default, registration=device) for device in devices]
    # steps that share no factor with the 20 devices of a round: every channel has every operating system
    subscriptions += [Subscription(channel=news, registration=device) for device in devices[::3]]
    subscriptions += [Subscription(channel=offers, registration=device) for device in devices[::11]]
    Subscription.objects.bulk_create(subscriptions, batch_size=5_000)
    with connection.cursor() as cursor:
        # the first campaign comes before autovacuum does
        cursor.execute("ANALYZE devices_deviceregistration, devices_subscription")


def _oses() -> Iterator[Os]:
    """The operating systems in their shares, over and over, well mixed."""
    order = sorted(((position + 0.5) / share, os) for os, share in _SHARES.items() for position in range(share))
    return itertools.cycle([os for _, os in order])


def _device(application: Application, n: int, os: Os, urls: Mapping[str, str]) -> DeviceRegistration:
    service = NATIVE_PUSH_SERVICE[os]
    behaviour = next((word for every, word in _BEHAVIOURS.items() if n % every == 0), "")
    if service is PushService.APNS and behaviour[:1].isdigit():
        behaviour = ""  # Apple asks for 15 minutes before a retry: too long for a visitor
    token = demo_token(service.value, n, behaviour, urls=urls)
    return DeviceRegistration(
        application=application,
        device_id=f"demo-{n:05}",
        token=token,
        token_digest=hashlib.sha256(token.encode()).digest(),
        os=os,
        os_version={Os.ANDROID: "16", Os.IOS: "19.1", Os.WEB: "Firefox 153", Os.WP: "11"}[os],
        push_service=service,
        attributes={"plan": _PLANS[n % len(_PLANS)], "city": _CITIES[n % len(_CITIES)]},
    )
