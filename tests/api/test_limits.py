"""What one address may call how often: error 5906 with Retry-After (reliability.md 2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from devices.api import limits
from devices.api_keys import forget_callers
from devices.models import DeviceRegistration
from devices.rates import parse_rate
from tests.api.conftest import Api
from tests.factories import make_account

WRONG_KEY = "00000000-0000-0000-0000-000000000000"
ACCOUNT = {"email": "a@b.c", "password": "a long secret"}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(settings: Settings) -> Iterator[Clock]:
    """One web process, and small limits that count by this clock."""
    settings.WEB_WORKERS = 1
    settings.RATES = {
        "REGISTRATIONS": parse_rate("1/s burst 3"),
        "FAILURES": parse_rate("30/min burst 3"),
        "LOGINS": parse_rate("1/s burst 5"),
        "ACCOUNTS": parse_rate("1/s burst 2"),
        "SERVER_CALLS": None,
    }
    clock = Clock()
    limits.start(clock)
    yield clock


def register(api: Api, *, address: str = "192.0.2.1", key: str = "", **headers: str) -> Any:
    """One registration from an address; the answer."""
    prefix = api.account.client_prefix.replace(api.account.client_key, key or api.account.client_key)
    body = {"deviceToken": "t" * 20, "deviceId": "d1", "os": "ANDROID", "osVersion": "14"}
    return api.client.post(
        f"{prefix}/messaging/registrations", body, "application/json", REMOTE_ADDR=address, headers=headers
    )


def log_in(api: Api, password: str, *, as_client: bool = True, login: str = "a@b.c") -> tuple[int, int]:
    """Status and error code, 0 without one."""
    status, answer = api.post("/users/login", {"login": login, "password": password}, as_client=as_client)
    return status, answer.get("code", 0)


def test_registrations_beyond_the_limit_are_429_and_say_which_limit_and_when(api: Api, clock: Clock) -> None:
    assert [register(api).status_code for _ in range(3)] == [200, 200, 200]

    refused = register(api)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.json() == {
        "code": 5906,
        "message": "Too many device registrations from this address: 1/s burst 3 is the limit. Try again in 1 s.",
        "errorData": {},
    }
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


def test_a_limit_refills_at_its_rate(api: Api, clock: Clock) -> None:
    for _ in range(4):
        register(api)

    clock.now += 2.0

    assert [register(api).status_code for _ in range(3)] == [200, 200, 429]


def test_a_refused_registration_changes_nothing(api: Api, clock: Clock) -> None:
    for _ in range(3):
        register(api, key=api.account.client_key)
    DeviceRegistration.objects.all().delete()

    assert register(api).status_code == 429
    assert not DeviceRegistration.objects.exists()


def test_a_servers_key_has_no_limit(api: Api, clock: Clock) -> None:
    assert {register(api, key=api.account.key).status_code for _ in range(10)} == {200}


def test_a_limit_set_for_servers_holds_for_all_their_calls(api: Api, clock: Clock, settings: Settings) -> None:
    settings.RATES = settings.RATES | {"SERVER_CALLS": parse_rate("1/s")}
    limits.start(clock)

    assert api.get("/messaging/message:1")[0] == 200
    assert api.get("/messaging/message:1")[1]["message"].startswith("Too many calls from this address")


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_address_is_counted_alone_and_ipv6_by_its_64(
    api: Api, clock: Clock, first: str, second: str, are_one: bool
) -> None:
    for _ in range(3):
        register(api, address=first)

    assert register(api, address=first).status_code == 429
    assert register(api, address=second).status_code == (429 if are_one else 200)


def test_a_forwarded_address_counts_for_nothing_without_a_proxy(api: Api, clock: Clock) -> None:
    answers = [register(api, **{"x-forwarded-for": f"198.51.100.{number}"}) for number in range(4)]

    assert answers[-1].status_code == 429


def test_behind_a_proxy_the_last_forwarded_address_is_the_client(api: Api, clock: Clock, settings: Settings) -> None:
    settings.MIDDLEWARE = ["console.middleware.ProxiedClientAddress", *settings.MIDDLEWARE]
    api = Api(api.account, Client())
    forged = [register(api, **{"x-forwarded-for": f"203.0.113.{number}, 192.0.2.7"}) for number in range(4)]

    assert forged[-1].status_code == 429
    assert register(api, **{"x-forwarded-for": "203.0.113.1, 192.0.2.8"}).status_code == 200


def test_wrong_keys_beyond_the_limit_are_429_and_right_ones_go_on(api: Api, clock: Clock) -> None:
    assert register(api).status_code == 200
    wrong = [register(api, key=WRONG_KEY) for _ in range(4)]

    assert [answer.status_code for answer in wrong] == [401, 401, 401, 429]
    assert wrong[-1].json()["message"] == (
        "Too many failed logins and wrong keys from this address: 30/min burst 3 is the limit. Try again in 2 s."
    )
    assert register(api).status_code == 200


def test_a_key_never_seen_before_waits_where_many_were_wrong(api: Api, clock: Clock) -> None:
    for _ in range(3):
        register(api, key=WRONG_KEY)
    forget_callers()

    assert register(api).status_code == 429
    assert register(api, address="192.0.2.2").status_code == 200
    assert register(api).status_code == 200


def test_an_unknown_application_and_a_wrong_key_are_counted_alike(api: Api, clock: Clock) -> None:
    other = make_account()
    for prefix in (f"/{other.application.application_id}/{WRONG_KEY}", f"/{WRONG_KEY}/{other.key}"):
        limits.start(clock)
        answers = [api.client.get(f"{prefix}/messaging/message:1").status_code for _ in range(4)]
        assert answers == [401, 401, 401, 429]


def test_dead_user_tokens_beyond_the_limit_are_429(api: Api, clock: Clock) -> None:
    codes = [register(api, **{"user-token": "OLD"}).json().get("code") for _ in range(3)]
    clock.now += 1.0

    assert codes == [3064, 3064, 3064]
    assert register(api, **{"user-token": "OLD"}).json()["code"] == 5906


def test_one_address_cannot_try_one_password_on_many_names(api: Api, clock: Clock) -> None:
    api.post("/users/register", ACCOUNT)
    sprayed = [log_in(api, "Summer2026", login=f"user{number}") for number in range(4)]

    assert sprayed == [(400, 3003)] * 3 + [(429, 5906)]
    assert log_in(api, ACCOUNT["password"]) == (429, 5906)
    clock.now += 2.0
    assert log_in(api, ACCOUNT["password"]) == (200, 0)


def test_a_server_that_logs_its_users_in_is_not_counted(api: Api, clock: Clock) -> None:
    sprayed = [log_in(api, "Summer2026", login=f"user{number}", as_client=False) for number in range(8)]

    assert sprayed == [(400, 3003)] * 8


def test_logins_beyond_the_limit_are_429_right_or_wrong(api: Api, clock: Clock) -> None:
    api.post("/users/register", ACCOUNT)

    assert [log_in(api, ACCOUNT["password"]) for _ in range(6)] == [(200, 0)] * 5 + [(429, 5906)]


def test_new_users_and_guests_share_a_limit(api: Api, clock: Clock) -> None:
    assert api.post("/users/register", ACCOUNT, as_client=True)[0] == 200
    assert api.call("POST", "/users/register/guest", as_client=True)[0] == 200

    status, answer = api.call("POST", "/users/register/guest", as_client=True)

    assert (status, answer["code"]) == (429, 5906)
    assert answer["message"].startswith("Too many new users from this address")


def test_several_web_processes_share_a_limit(api: Api, clock: Clock, settings: Settings) -> None:
    settings.WEB_WORKERS = 3
    limits.start(clock)

    assert [register(api).status_code for _ in range(2)] == [200, 429]
