"""`https://<subdomain>.<anything>/api/...`: application and key come from the host (contract.md 1)."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from devices.api_keys import Permissions, authenticate, forget_callers, revoke
from devices.host_keys import create_host_key, key_text
from devices.models import ApiKey, Application
from messaging.models import Message
from tests.factories import make_application

pytestmark = pytest.mark.django_db

HOST = "shop.push.example.org"


@pytest.fixture
def application() -> Application:
    """The shop's, whose host may publish."""
    forget_callers()
    application = make_application("Shop")
    application.subdomain = "shop"
    application.save()
    create_host_key(application, Permissions(may_publish=True))
    return application


def call(method: str, path: str, body: object = None, host: str = HOST) -> tuple[int, Any]:
    content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    response = Client().generic(method, f"/api{path}", headers={"host": host}, **content)
    return response.status_code, json.loads(response.content)


def test_publish_by_host_name(application: Application) -> None:
    status, answer = call("POST", "/messaging/default", {"message": "Hi"})

    assert status == 200
    message = Message.objects.get()
    assert (message.application, answer["messageId"]) == (application, message.wire_id)


@pytest.mark.parametrize("host", ["SHOP.other.example", "shop.localhost:8000"])
def test_only_the_first_word_of_the_host_counts(application: Application, host: str) -> None:
    assert call("GET", "/messaging/nothing", host=host)[0] == 200


@pytest.mark.parametrize("host", ["other.push.example.org", "push.example.org", "127.0.0.1:8000"])
def test_host_of_no_application_is_error_2002(application: Application, host: str) -> None:
    status, answer = call("POST", "/messaging/default", {"message": "Hi"}, host=host)

    assert (status, answer["code"]) == (401, 2002)


def test_what_the_host_may_do_is_set_on_its_key(application: Application) -> None:
    create_host_key(application, Permissions())

    assert call("POST", "/messaging/default", {"message": "Hi"})[1]["code"] == 5007
    assert ApiKey.objects.filter(application=application, is_for_host=True, revoked_at=None).count() == 1


def test_info_tells_sdks_id_and_key_for_their_live_connection(application: Application) -> None:
    status, info = call("GET", "/info")

    assert status == 200
    assert info["appId"] == str(application.application_id).upper()
    assert authenticate(info["appId"], info["apiKey"]).application == application


def test_revoked_host_key_is_refused(application: Application) -> None:
    api_key = ApiKey.objects.get(is_for_host=True)
    assert call("GET", "/info")[0] == 200

    revoke(api_key)

    assert call("GET", "/info")[1]["code"] == 2002


def test_key_of_a_host_is_the_same_whenever_it_is_computed(application: Application) -> None:
    api_key = ApiKey.objects.get(is_for_host=True)

    assert authenticate(str(application.application_id), key_text(api_key)).api_key == api_key


def test_unknown_address_below_api_is_json(application: Application) -> None:
    status, answer = call("GET", "/messaging/a/b/c")

    assert (status, answer["code"]) == (404, 5904)


def test_preflight_by_host_name_is_answered(application: Application) -> None:
    response = Client().options("/api/messaging/default", headers={"host": HOST})

    assert response.status_code in (200, 204)
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_command_makes_a_host_key_with_the_subdomain() -> None:
    call_command("create_application", "Shop", "--subdomain", "boutique", "--json", stdout=StringIO())

    assert call("GET", "/info", host="boutique.localhost")[0] == 200


def test_admin_gives_an_application_its_host_key(admin_client: Client) -> None:
    application = make_application("Shop")
    application.subdomain = "atelier"
    application.save()

    admin_client.post(
        reverse("admin:devices_application_changelist"),
        {"action": "make_host_keys", "_selected_action": [application.pk]},
    )

    assert call("GET", "/info", host="atelier.localhost")[0] == 200
