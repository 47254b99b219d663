"""Users over HTTP: parse, call one step, answer."""

from __future__ import annotations

from django.http import HttpRequest

from devices import app_users, timestamps
from devices.api import limits
from devices.api.limits import Limit
from devices.api.user_requests import MAX_BODY_BYTES, parse_account, parse_login, token_of
from devices.api_keys import Caller
from devices.errors import ApiError, NobodyLoggedIn, PermissionMissing
from devices.json_input import read_json_object
from devices.user_models import AppUser


def login(caller: Caller, request: HttpRequest) -> dict[str, object]:
    """POST users/login."""
    if not caller.api_key.may_publish:
        limits.refuse_if_spent(Limit.FAILURES, request)  # before the password is looked at, or guessing would go on
    name, password = parse_login(read_json_object(request, max_bytes=MAX_BODY_BYTES))
    address = str(request.META.get("REMOTE_ADDR", ""))
    return _logged_in(app_users.log_in(caller.application, name, password, address))


def register(caller: Caller, request: HttpRequest) -> dict[str, object]:
    """POST users/register."""
    _check_may_register(caller)
    account = parse_account(read_json_object(request, max_bytes=MAX_BODY_BYTES))
    user = app_users.register(caller.application, account)
    user.refresh_from_db(fields=["created_at"])
    return _user(user)


def register_guest(caller: Caller, request: HttpRequest) -> dict[str, object]:
    """POST users/register/guest; it has no body."""
    _check_may_register(caller)
    return _logged_in(app_users.register_guest(caller.application))


def logout(caller: Caller, request: HttpRequest) -> None:
    """GET users/logout. Raises NobodyLoggedIn (3023), DeadUserToken (3064)."""
    token = token_of(request)
    if not token:
        raise NobodyLoggedIn()
    app_users.log_out(token, app_users.user_of_token(caller.application, token))


def is_valid_token(caller: Caller, request: HttpRequest, token: str) -> bool:
    """GET users/isvalidusertoken/<token>."""
    try:
        app_users.user_of_token(caller.application, token)
    except ApiError:
        return False
    return True


def _check_may_register(caller: Caller) -> None:
    if not caller.api_key.may_register:
        raise PermissionMissing("This API key may not register users.")


def _logged_in(logged_in: app_users.LoggedIn) -> dict[str, object]:
    return {**_user(logged_in.user), "user-token": logged_in.token}


def _user(user: AppUser) -> dict[str, object]:
    """A user object, without a password (contract.md 3)."""
    is_guest = user.login is None
    return {
        **user.properties,
        "___class": "Users",
        "objectId": user.object_id,
        "ownerId": user.object_id,
        "email": user.email or None,
        "name": user.name or None,
        "userStatus": "GUEST" if is_guest else "ENABLED",
        "lastLogin": None if user.last_login_at is None else timestamps.to_wire(user.last_login_at),
        "created": timestamps.to_wire(user.created_at),
        "updated": timestamps.to_wire(user.updated_at) if user.updated_at > user.created_at else None,
    }
