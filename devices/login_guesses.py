"""Wrong passwords are counted per login and address, and per login over all addresses; nobody is locked out for ever.

Whoever guesses from many addresses closes a login only to addresses that never got in: those from which the password
was right within 90 days go on. The counts end 15 minutes after the first failure, whatever is tried in between.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from devices.errors import TooManyLogins
from devices.models import Application
from devices.user_models import FailedLogin

#: wrong passwords for one login from one address within the time; the next are refused unread
MAX_FAILURES = 10
#: the same from all addresses together
MAX_FAILURES_OF_LOGIN = 50
FAILURES_COUNT_FOR = timedelta(minutes=15)
ADDRESS_IS_KNOWN_FOR = timedelta(days=90)

# Sorted by digest, so that two failures at once cannot wait for each other's row.
_NOTE_FAILURE = """
    INSERT INTO devices_failedlogin (digest, failures, began_at)
    SELECT digest, 1, now() FROM unnest(%(digests)s::bytea[]) AS digest ORDER BY digest
    ON CONFLICT (digest) DO UPDATE SET
        failures = CASE WHEN devices_failedlogin.began_at < now() - make_interval(secs => %(window)s) THEN 1
            ELSE devices_failedlogin.failures + 1 END,
        began_at = CASE WHEN devices_failedlogin.began_at < now() - make_interval(secs => %(window)s) THEN now()
            ELSE devices_failedlogin.began_at END
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tries to log in: the rows of `FailedLogin` that speak of it."""

    pair: bytes  #: this login from this address
    login: bytes  #: this login from anywhere
    known: bytes  #: there, without failures, when the password was right from this address before


def attempt(application: Application, login: str, address: str) -> Attempt:
    """The rows, by keyless hashes: neither login nor address can be read back from a copy of the table alone."""
    name = login.lower()
    return Attempt(
        pair=_digest(application, address, name),
        login=_digest(application, "login", name),
        known=_digest(application, "known", address, name),
    )


def refuse(attempt: Attempt) -> None:
    """Stop before the password is read where too many were wrong. Raises TooManyLogins (3036)."""
    rows = FailedLogin.objects.filter(digest__in=[attempt.pair, attempt.login, attempt.known])
    counted = rows.filter(Q(failures=0) | Q(began_at__gt=Now() - FAILURES_COUNT_FOR))
    failures = {bytes(digest): count for digest, count in counted.values_list("digest", "failures")}
    if failures.get(attempt.pair, 0) >= MAX_FAILURES:
        raise TooManyLogins()
    if failures.get(attempt.login, 0) >= MAX_FAILURES_OF_LOGIN and attempt.known not in failures:
        raise TooManyLogins()


def note_failure(attempt: Attempt) -> None:
    """The password was wrong."""
    with connection.cursor() as cursor:
        digests = [attempt.pair, attempt.login]
        cursor.execute(_NOTE_FAILURE, {"digests": digests, "window": FAILURES_COUNT_FOR.total_seconds()})


def note_success(attempt: Attempt) -> None:
    """The password was right: the address is known from now on, and its failures are forgiven."""
    FailedLogin.objects.filter(digest=attempt.pair).delete()
    FailedLogin.objects.update_or_create(digest=attempt.known, defaults={"failures": 0, "began_at": Now()})


def forget_expired() -> None:
    """Remove what no longer matters."""
    FailedLogin.objects.filter(failures__gt=0, began_at__lt=Now() - FAILURES_COUNT_FOR).delete()
    FailedLogin.objects.filter(failures=0, began_at__lt=Now() - ADDRESS_IS_KNOWN_FOR).delete()


def _digest(application: Application, *parts: str) -> bytes:
    return hashlib.sha256("\n".join((str(application.pk), *parts)).encode()).digest()
