"""Login and registration of users as they come in, and the `user-token` header."""

from __future__ import annotations

from django.http import HttpRequest

from devices.api.shapes import MAX_USER_TEXT, AccountBody, LoginBody
from devices.api_keys import Caller
from devices.app_users import Account, user_of_token
from devices.errors import EmptyLogin, LoginByIdForbidden, MissingIdentity, PropertyTooLong
from devices.json_input import KIB, to_struct
from devices.user_models import AppUser

MAX_BODY_BYTES = 64 * KIB
#: what the hosted original keeps for itself in a user object
_OWN_KEYS = frozenset(
    {"login", "email", "password", "name", "objectId", "created", "updated", "ownerId", "user-token", "___class"}
    | {"lastLogin", "userStatus", "socialAccount", "blUserLocale"}
)


def parse_login(body: dict[str, object]) -> tuple[str, str]:
    """Login and password. Raises EmptyLogin (3006), LoginByIdForbidden (2014)."""
    wire = to_struct(body, LoginBody, {})
    if wire.object_id is not None and wire.login is None:
        raise LoginByIdForbidden()
    if not wire.login or not wire.password:
        raise EmptyLogin()
    return _short("login", wire.login), _short("password", wire.password)


def parse_account(body: dict[str, object]) -> Account:
    """The account to make. Raises MissingIdentity (3011), EmptyLogin (3006)."""
    wire = to_struct(body, AccountBody, {})
    identity = wire.login or wire.email
    if not identity:
        raise MissingIdentity()
    if not wire.password:
        raise EmptyLogin()
    return Account(
        login=_short("login", identity),
        password=_short("password", wire.password),
        email=_short("email", wire.email or ""),
        name=_short("name", wire.name or ""),
        properties={name: value for name, value in body.items() if name not in _OWN_KEYS},
    )


def token_of(request: HttpRequest) -> str:
    """The `user-token` header, "" without one."""
    return str(request.META.get("HTTP_USER_TOKEN", "")).strip()  # request.headers would gather every header


def current_user(caller: Caller, request: HttpRequest) -> AppUser | None:
    """Who is logged in. Raises DeadUserToken (3064), UserDisabled (3090)."""
    token = token_of(request)
    return user_of_token(caller.application, token) if token else None


def _short(field: str, value: str) -> str:
    if len(value) > MAX_USER_TEXT:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: {field} takes {MAX_USER_TEXT} characters.", field=field
        )
    return value
