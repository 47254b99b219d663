"""Accounts of an application's users: register, log in, log out, and whose token it is."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from devices import login_guesses
from devices.errors import DeadUserToken, IdentityTaken, UserDisabled, WrongLogin
from devices.models import Application
from devices.user_models import AppUser, UserToken

TOKEN_LIFE = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody to register."""

    login: str
    password: str
    email: str = ""
    name: str = ""
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A user and the token they go on with; it cannot be shown again."""

    user: AppUser
    token: str


def register(application: Application, account: Account) -> AppUser:
    """Make an account. Raises IdentityTaken (3033)."""
    password = make_password(account.password)  # may wait for its turn, which no transaction should
    try:
        with transaction.atomic():
            return AppUser.objects.create(
                application=application,
                login=account.login,
                password=password,
                email=account.email,
                name=account.name,
                properties=account.properties,
            )
    except IntegrityError as error:
        raise IdentityTaken(f"User already exists with identity '{account.login}'.") from error


def register_guest(application: Application) -> LoggedIn:
    """An account without login, good for as long as its token."""
    with transaction.atomic():
        user = AppUser.objects.create(application=application)
        return _with_token(user)


def log_in(application: Application, login: str, password: str, address: str) -> LoggedIn:
    """A token for whoever knows the password. `address` is where the call came from.

    Raises WrongLogin (3003), TooManyLogins (3036), UserDisabled (3090).
    """
    attempt = login_guesses.attempt(application, login, address)
    login_guesses.refuse(attempt)
    user = AppUser.objects.filter(application=application, login__iexact=login).first()
    if user is None:
        make_password(password)  # the same work: how long it takes must not tell which logins exist
    if user is None or not check_password(password, user.password):
        login_guesses.note_failure(attempt)
        raise WrongLogin()
    if user.is_disabled:
        raise UserDisabled()
    with transaction.atomic():
        login_guesses.note_success(attempt)
        AppUser.objects.filter(pk=user.pk).update(last_login_at=Now())
        user.refresh_from_db(fields=["last_login_at"])
        return _with_token(user)


def log_out(token: str, user: AppUser) -> None:
    """The token is dead from now on."""
    UserToken.objects.filter(user=user, digest=_digest(token)).delete()


def log_out_everywhere(user: AppUser) -> None:
    """Every token of the user is dead: after a change of password, or when the account is disabled."""
    UserToken.objects.filter(user=user).delete()


def user_of_token(application: Application, token: str) -> AppUser:
    """Whose token it is. Raises DeadUserToken (3064), UserDisabled (3090)."""
    held = (
        UserToken.objects.select_related("user")
        .filter(digest=_digest(token), user__application=application, expires_at__gt=Now())
        .first()
    )
    if held is None:
        raise DeadUserToken(f"Not existing user token - {token[:64]}. Relogin user to update your user token")
    if held.user.is_disabled:
        raise UserDisabled()
    return held.user


def forget_expired() -> None:
    """Remove tokens and counted failures that no longer matter."""
    UserToken.objects.filter(expires_at__lt=Now()).delete()
    login_guesses.forget_expired()


def _with_token(user: AppUser) -> LoggedIn:
    token = secrets.token_hex(32).upper()
    UserToken.objects.create(user=user, digest=_digest(token), expires_at=Now() + TOKEN_LIFE)
    user.refresh_from_db(fields=["created_at"])
    return LoggedIn(user, token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
