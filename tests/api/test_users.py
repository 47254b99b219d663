"""Users of the apps: accounts, logins, and publishing judged by roles (contract.md 3 and 7)."""

from __future__ import annotations

from typing import Any

import pytest

from devices.app_users import log_out_everywhere
from devices.channels import ensure_channels
from devices.models import DeviceRegistration
from devices.user_models import AppUser, Decision, Operation, Role, RolePermission, UserToken
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
