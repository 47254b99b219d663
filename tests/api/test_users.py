"""Users of the apps: accounts, logins, and publishing judged by roles (contract.md 3 and 7)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from devices.app_users import forget_expired, log_out_everywhere
from devices.channels import ensure_channels
from devices.login_guesses import ADDRESS_IS_KNOWN_FOR, FAILURES_COUNT_FOR, attempt
from devices.models import DeviceRegistration
from devices.user_models import AppUser, Decision, FailedLogin, Operation, Role, RolePermission, UserToken
from messaging.models import Message
from tests.api.conftest import Api
from tests.factories import make_application

ACCOUNT = {"email": "a@b.c", "password": "a long secret", "name": "Ann", "age": 30}
LOGIN = {"login": "a@b.c", "password": "a long secret"}


@pytest.fixture
def token(api: Api) -> str:
    """Of Ann, who has an account."""
    api.post("/users/register", ACCOUNT)
    return str(api.post("/users/login", LOGIN)[1]["user-token"])


def let(api: Api, role_name: str, decision: Decision, channel_name: str = "", member: bool = False) -> None:
    """Give a role a word on publishing; `member`: Ann has it."""
    application = api.account.application
    role, _ = Role.objects.get_or_create(application=application, name=role_name)
    channel = ensure_channels(application, [channel_name])[0] if channel_name else None
    RolePermission.objects.create(role=role, channel=channel, operation=Operation.PUBLISH, decision=decision)
    if member:
        role.members.add(AppUser.objects.get(application=application))


def publish(api: Api, token: str = "", channel: str = "default", *, as_client: bool = False) -> tuple[int, Any]:
    headers = {"user-token": token} if token else {}
    return api.post(f"/messaging/{channel}", {"message": "Hi"}, as_client=as_client, **headers)


def test_registered_user_comes_back_without_password(api: Api) -> None:
    status, user = api.post("/users/register", ACCOUNT)

    assert status == 200
    assert {"objectId", "created", "___class"} <= set(user)
    assert (user["email"], user["name"], user["age"]) == ("a@b.c", "Ann", 30)
    assert "password" not in user
    assert "user-token" not in user


def test_a_user_was_not_updated_before_the_first_change(api: Api) -> None:
    _, user = api.post("/users/register", ACCOUNT)
    assert user["updated"] is None
    changed = AppUser.objects.get()
    changed.name = "Anna"
    changed.save()

    _, user = api.post("/users/login", LOGIN)

    assert user["updated"] > user["created"]


def test_login_gives_the_user_and_a_token(api: Api) -> None:
    api.post("/users/register", ACCOUNT)

    status, user = api.post("/users/login", LOGIN)

    assert status == 200
    assert len(user["user-token"]) == 64
    assert (user["objectId"], user["age"]) == (AppUser.objects.get().object_id, 30)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"login": "a@b.c", "password": "wrong"}, 3003),
        ({"login": "nobody", "password": "a long secret"}, 3003),
        ({"login": "", "password": "x"}, 3006),
        ({"login": "a@b.c"}, 3006),
        ({"objectId": "U-1"}, 2014),
    ],
)
def test_login_that_fails_has_the_vendors_code(api: Api, body: dict[str, str], code: int) -> None:
    api.post("/users/register", ACCOUNT)

    status, answer = api.post("/users/login", body)

    assert (status, answer["code"]) == (400, code)


@pytest.mark.parametrize(("body", "code"), [({"password": "x"}, 3011), ({"email": "a@b.c"}, 3006)])
def test_registration_needs_identity_and_password(api: Api, body: dict[str, str], code: int) -> None:
    assert api.post("/users/register", body)[1]["code"] == code


def test_identity_in_another_letter_case_is_taken(api: Api) -> None:
    api.post("/users/register", ACCOUNT)

    status, answer = api.post("/users/register", {**ACCOUNT, "email": "A@B.C"})

    assert (status, answer["code"]) == (400, 3033)


def test_guessing_is_stopped_after_ten_wrong_passwords(api: Api) -> None:
    api.post("/users/register", ACCOUNT)
    for _ in range(10):
        api.post("/users/login", {"login": "a@b.c", "password": "wrong"})

    assert api.post("/users/login", LOGIN)[1]["code"] == 3036
    assert api.post("/users/login", {"login": "other", "password": "x"})[1]["code"] == 3003


def log_in_from(api: Api, address: str, password: str) -> int:
    """Log Ann in from an address; the error code, 0 without one."""
    response = api.client.post(
        f"{api.account.prefix}/users/login", LOGIN | {"password": password}, "application/json", REMOTE_ADDR=address
    )
    return int(response.json().get("code", 0))


def test_many_addresses_guessing_at_one_login_are_stopped_after_fifty(api: Api) -> None:
    api.post("/users/register", ACCOUNT)
    for number in range(50):
        assert log_in_from(api, f"198.51.100.{number}", "wrong") == 3003

    assert log_in_from(api, "198.51.100.200", LOGIN["password"]) == 3036


def test_the_owner_goes_on_from_where_the_password_was_right_before(api: Api) -> None:
    api.post("/users/register", ACCOUNT)
    assert log_in_from(api, "192.0.2.1", LOGIN["password"]) == 0
    FailedLogin.objects.create(digest=attempt(api.account.application, "a@b.c", "").login, failures=1000)

    assert log_in_from(api, "192.0.2.2", LOGIN["password"]) == 3036
    assert log_in_from(api, "192.0.2.1", "mistyped") == 3003
    assert log_in_from(api, "192.0.2.1", LOGIN["password"]) == 0


def test_guessing_closes_a_login_for_fifteen_minutes_at_most(api: Api) -> None:
    api.post("/users/register", ACCOUNT)
    FailedLogin.objects.create(digest=attempt(api.account.application, "a@b.c", "").login, failures=1000)
    assert log_in_from(api, "192.0.2.2", LOGIN["password"]) == 3036

    FailedLogin.objects.update(began_at=Now() - FAILURES_COUNT_FOR)

    assert log_in_from(api, "192.0.2.2", LOGIN["password"]) == 0


def test_counted_failures_are_forgotten_and_known_addresses_kept(api: Api) -> None:
    api.post("/users/register", ACCOUNT)
    log_in_from(api, "192.0.2.1", LOGIN["password"])
    log_in_from(api, "192.0.2.1", "wrong")
    FailedLogin.objects.update(began_at=Now() - FAILURES_COUNT_FOR * 2)

    forget_expired()
    assert list(FailedLogin.objects.values_list("failures", flat=True)) == [0]
    FailedLogin.objects.update(began_at=Now() - ADDRESS_IS_KNOWN_FOR * 2)
    forget_expired()
    assert not FailedLogin.objects.exists()


def test_disabled_user_can_neither_log_in_nor_go_on(api: Api, token: str) -> None:
    AppUser.objects.update(is_disabled=True)

    assert api.post("/users/login", LOGIN)[1]["code"] == 3090
    assert publish(api, token)[1]["code"] == 3090


def test_guest_gets_a_token_without_a_body(api: Api) -> None:
    status, guest = api.call("POST", "/users/register/guest")

    assert status == 200
    assert guest["userStatus"] == "GUEST"
    assert publish(api, guest["user-token"])[0] == 200


def test_logout_kills_the_token_and_answers_null(api: Api, token: str) -> None:
    status, answer = api.get("/users/logout", **{"user-token": token})

    assert (status, answer) == (200, None)
    assert publish(api, token)[1]["code"] == 3064


def test_logout_without_a_token_is_error_3023(api: Api) -> None:
    assert api.get("/users/logout")[1]["code"] == 3023


def test_valid_user_token_is_json_true_and_others_false(api: Api, token: str) -> None:
    assert api.get(f"/users/isvalidusertoken/{token}") == (200, True)
    assert api.get("/users/isvalidusertoken/nonsense") == (200, False)


def test_dead_token_is_error_3064_with_the_vendors_text(api: Api) -> None:
    status, answer = publish(api, "OLD")

    assert (status, answer["code"]) == (400, 3064)
    assert answer["message"] == "Not existing user token - OLD. Relogin user to update your user token"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/messaging/message:AAA"),
        ("DELETE", "/messaging/message:AAA"),
        ("GET", "/messaging/registrations/DEV-1"),
        ("DELETE", "/messaging/registrations/DEV-1"),
        ("DELETE", "/messaging/channels/news"),
        ("GET", "/messaging/pushtemplates"),
        ("GET", "/messaging/pushtemplates/IOS"),
        ("POST", "/messaging/push/welcome"),
        ("GET", "/info"),
        ("GET", "/rt/lookup"),
        ("GET", "/users/logout"),
    ],
)
def test_dead_token_is_error_3064_whatever_is_called(api: Api, method: str, path: str) -> None:
    body: object = {} if method == "POST" else None
    headers: dict[str, Any] = {"user-token": "gone"}

    assert api.call(method, path, body, **headers)[1]["code"] == 3064


def test_dead_token_does_not_stand_in_the_way_of_a_new_login(api: Api, token: str) -> None:
    status, answer = api.post("/users/login", LOGIN, **{"user-token": "gone"})

    assert (status, answer["email"]) == (200, "a@b.c")
    assert api.get("/users/isvalidusertoken/gone", **{"user-token": "gone"}) == (200, False)


def test_token_of_another_application_is_dead(api: Api, token: str) -> None:
    AppUser.objects.update(application=make_application("Other"))

    assert publish(api, token)[1]["code"] == 3064


def test_expired_token_is_dead(api: Api, token: str) -> None:
    UserToken.objects.update(expires_at="2020-01-01T00:00:00Z")

    assert publish(api, token)[1]["code"] == 3064


def test_every_token_dies_with_the_password(api: Api, token: str) -> None:
    log_out_everywhere(AppUser.objects.get())

    assert publish(api, token)[1]["code"] == 3064


def test_tokens_are_stored_as_hashes_only(api: Api, token: str) -> None:
    assert token.encode() not in bytes(UserToken.objects.get().digest)


def test_without_roles_the_key_decides(api: Api, token: str) -> None:
    assert publish(api, token)[0] == 200
    assert publish(api, token, as_client=True)[1]["code"] == 5007


def test_role_of_the_user_lets_a_client_key_publish(api: Api, token: str) -> None:
    let(api, "Editors", Decision.GRANT, member=True)

    assert publish(api, token, as_client=True)[0] == 200
    assert publish(api, as_client=True)[1]["code"] == 5007


def test_a_role_taken_away_counts_no_more_at_the_next_call(api: Api, token: str) -> None:
    let(api, "Editors", Decision.GRANT, member=True)
    assert publish(api, token, as_client=True)[0] == 200

    Role.objects.get(name="Editors").members.clear()

    assert publish(api, token, as_client=True)[1]["code"] == 5007


def test_a_permission_taken_from_a_role_counts_no_more_at_the_next_call(api: Api, token: str) -> None:
    let(api, "Editors", Decision.GRANT, member=True)
    assert publish(api, token, as_client=True)[0] == 200

    RolePermission.objects.update(decision=Decision.DENY)

    assert publish(api, token, as_client=True)[1]["code"] == 5007


def test_a_disabled_user_registers_no_device_and_their_token_is_not_valid(api: Api, token: str) -> None:
    body = {"deviceToken": "t" * 20, "deviceId": "d1", "os": "ANDROID", "osVersion": "14"}
    AppUser.objects.update(is_disabled=True)

    assert api.post("/messaging/registrations", body, **{"user-token": token})[1]["code"] == 3090
    assert api.get(f"/users/isvalidusertoken/{token}") == (200, False)


def test_a_user_that_was_removed_leaves_a_dead_token(api: Api, token: str) -> None:
    AppUser.objects.get().delete()

    assert publish(api, token)[1]["code"] == 3064


def test_denied_role_is_refused_with_5007(api: Api, token: str) -> None:
    let(api, "Banned", Decision.DENY, member=True)

    status, answer = publish(api, token)

    assert (status, answer["code"]) == (403, 5007)
    assert not Message.objects.exists()


def test_denial_goes_before_a_grant(api: Api, token: str) -> None:
    let(api, "Editors", Decision.GRANT, member=True)
    let(api, "Banned", Decision.DENY, member=True)

    assert publish(api, token)[1]["code"] == 5007


def test_word_of_the_channel_goes_before_the_applications(api: Api, token: str) -> None:
    let(api, "Editors", Decision.DENY, member=True)
    let(api, "Editors", Decision.GRANT, channel_name="news")

    assert publish(api, token, "news")[0] == 200
    assert publish(api, token, "other")[1]["code"] == 5007


def test_built_in_roles_judge_by_login_and_client_type(api: Api, token: str) -> None:
    let(api, "NotAuthenticatedUser", Decision.DENY)
    let(api, "RestUser", Decision.GRANT, channel_name="open")

    assert publish(api)[1]["code"] == 5007
    assert publish(api, channel="open")[0] == 200
    assert publish(api, token)[0] == 200


def test_cancelling_is_judged_like_publishing(api: Api, token: str) -> None:
    _, answer = publish(api, token)
    let(api, "Banned", Decision.DENY, member=True)

    refused = api.delete(f"/messaging/{answer['messageId']}", **{"user-token": token})

    assert refused[1]["code"] == 5007


def test_registration_remembers_who_is_logged_in(api: Api, token: str) -> None:
    body = {"deviceToken": "t" * 20, "deviceId": "d1", "os": "ANDROID", "osVersion": "14"}

    api.post("/messaging/registrations", body, **{"user-token": token})
    api.post("/messaging/registrations", body)

    assert DeviceRegistration.objects.get().user_id == AppUser.objects.get().object_id


def test_registration_takes_attributes_locale_and_time_zone(api: Api) -> None:
    facts = {"attributes": {"age": 30}, "locale": "de-DE", "timeZone": "Europe/Berlin"}
    body = {"deviceToken": "t" * 20, "deviceId": "d1", "os": "ANDROID", "osVersion": "14"}

    api.post("/messaging/registrations", {**body, **facts})
    api.post("/messaging/registrations", body)

    device = DeviceRegistration.objects.get()
    assert (device.attributes, device.locale, device.time_zone) == ({"age": 30}, "de-DE", "Europe/Berlin")
