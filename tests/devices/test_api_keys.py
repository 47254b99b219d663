"""API keys: how they look, what is stored of them, and when they stop working."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from devices import api_keys
from devices.api_keys import CACHE_SECONDS, authenticate, new_key, revoke
from devices.errors import WrongApplicationInfo
from devices.models import ApiKey
from tests.factories import make_api_key, make_application

pytestmark = pytest.mark.django_db


def test_a_key_looks_like_the_hosted_originals_and_is_random_in_every_digit() -> None:
    keys = [new_key() for _ in range(500)]

    assert all(re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", key) for key in keys)
    for position in range(36):
        # a UUID would show its version at 14 and its variant at 19
        digits = Counter(key[position] for key in keys)
        assert len(digits) == (1 if position in (8, 13, 18, 23) else 16)


def test_only_a_hash_of_the_key_is_stored() -> None:
    api_key, key = make_api_key(make_application())

    stored = " ".join(str(value) for value in ApiKey.objects.filter(pk=api_key.pk).values_list()[0])
    assert key not in stored
    assert api_key.prefix == key[:8]


def test_a_key_opens_its_own_application_and_no_other() -> None:
    application, other = make_application(), make_application("Other")
    api_key, key = make_api_key(application)

    caller = authenticate(str(application.application_id).upper(), key)

    assert (caller.application, caller.api_key) == (application, api_key)
    with pytest.raises(WrongApplicationInfo):
        authenticate(str(other.application_id), key)


def test_a_key_made_with_an_older_pepper_still_opens(settings: LazySettings) -> None:
    application = make_application()
    _, key = make_api_key(application)

    settings.API_KEY_PEPPERS = {"k2": bytes(32), **settings.API_KEY_PEPPERS}

    assert authenticate(str(application.application_id), key).application == application


def test_a_key_made_with_a_pepper_that_is_gone_opens_nothing(settings: LazySettings) -> None:
    application = make_application()
    _, key = make_api_key(application)

    settings.API_KEY_PEPPERS = {"k2": bytes(32)}

    with pytest.raises(WrongApplicationInfo):
        authenticate(str(application.application_id), key)


def test_an_expired_key_opens_nothing() -> None:
    application = make_application()
    api_key, key = make_api_key(application)
    ApiKey.objects.filter(pk=api_key.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    with pytest.raises(WrongApplicationInfo):
        authenticate(str(application.application_id), key)


def test_a_key_revoked_here_stops_at_once() -> None:
    application = make_application()
    api_key, key = make_api_key(application)
    authenticate(str(application.application_id), key)

    revoke(api_key)

    with pytest.raises(WrongApplicationInfo):
        authenticate(str(application.application_id), key)


def test_a_key_revoked_elsewhere_stops_within_five_seconds() -> None:
    application = make_application()
    api_key, key = make_api_key(application)
    authenticate(str(application.application_id), key)
    revoked = time.monotonic()

    ApiKey.objects.filter(pk=api_key.pk).update(revoked_at=Now())

    while time.monotonic() - revoked < 5:
        try:
            authenticate(str(application.application_id), key)
        except WrongApplicationInfo:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the key still works five seconds after its revocation")
    assert CACHE_SECONDS < 5


def test_a_key_in_use_costs_no_query() -> None:
    application = make_application()
    _, key = make_api_key(application)
    authenticate(str(application.application_id), key)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        authenticate(str(application.application_id), key)

    assert len(queries) == 0


def _refused(application_id: str, key: str) -> int:
    with CaptureQueriesContext(connection) as queries, pytest.raises(WrongApplicationInfo):
        authenticate(application_id, key)
    return len(queries)


def test_whatever_is_wrong_costs_the_same_queries() -> None:
    application = make_application()
    _, key = make_api_key(application)
    unknown = "00000000-0000-0000-0000-000000000000"

    costs = {
        _refused(str(application.application_id), unknown),
        _refused(unknown, key),
        _refused("no uuid at all", key),
    }

    assert costs == {1}


def test_use_is_noted_at_most_once_a_minute(forgetful_cache: Callable[[], None]) -> None:
    application = make_application()
    api_key, key = make_api_key(application)
    authenticate(str(application.application_id), key)
    first = ApiKey.objects.get(pk=api_key.pk).last_used_at

    forgetful_cache()
    authenticate(str(application.application_id), key)

    assert first is not None
    assert ApiKey.objects.get(pk=api_key.pk).last_used_at == first


@pytest.fixture
def forgetful_cache() -> Callable[[], None]:
    """Calling it makes this process look every key up again, as another process would."""
    return api_keys.forget_callers
