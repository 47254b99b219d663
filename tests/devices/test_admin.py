"""Django admin: every table opens, no page holds a secret, nothing can be sent or unsent."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from devices.admin import SegmentForm
from devices.models import ApiKey, Channel, DeviceRegistration
from devices.push_services import PushService
from messaging.models import Lane, Message, Occurrence, ProviderCredential
from tests.console.static_files import serve_uncollected
from tests.factories import make_api_key, make_application, make_registration

#: a composite primary key, which the admin cannot register
NOT_IN_THE_ADMIN = {"Delivery"}
TABLES = [
    model
    for label in ("devices", "messaging")
    for model in apps.get_app_config(label).get_models()
    if model.__name__ not in NOT_IN_THE_ADMIN
]


@pytest.fixture(autouse=True)
def uncollected_static_files(settings: Settings, tmp_path: Path) -> None:
    """Pages without what `collectstatic` writes."""
    serve_uncollected(settings, tmp_path)


def _url(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__name__)
def test_every_table_opens(admin_client: Client, model: type[Model]) -> None:
    assert model in admin.site._registry

    assert admin_client.get(_url(model, "changelist")).status_code == 200


def test_a_device_opens_without_its_token(admin_client: Client) -> None:
    device = make_registration(make_application(), token="abcdefgh-the-rest-is-secret", channels=("news", "sport"))

    page = admin_client.get(_url(DeviceRegistration, "change", device.pk)).content.decode()

    assert "abcdefgh…" in page
    assert "the-rest-is-secret" not in page


def test_a_key_opens_without_its_digest_and_cannot_be_made(admin_client: Client) -> None:
    api_key, key = make_api_key(make_application())

    page = admin_client.get(_url(ApiKey, "change", api_key.pk)).content.decode()

    assert key not in page
    assert bytes(api_key.digest).hex() not in page.lower()
    assert admin_client.get(_url(ApiKey, "add")).status_code == 403


def test_a_credential_opens_without_its_secret(admin_client: Client) -> None:
    row = ProviderCredential.objects.create(
        application=make_application(), push_service=PushService.FCM, secret=b"sealed-bytes", fingerprint="f00"
    )

    page = admin_client.get(_url(ProviderCredential, "change", row.pk)).content.decode()

    assert "f00" in page
    assert "sealed-bytes" not in page


@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_a_message_can_be_neither_made_nor_changed_nor_deleted(admin_client: Client, page: str) -> None:
    message = Message.objects.create(application=make_application(), channel_name="default")
    args = () if page == "add" else (message.pk,)

    assert admin_client.post(_url(Message, page, *args), {"status": "SCHEDULED"}).status_code == 403
    assert list(Message.objects.all()) == [message]
    assert not Occurrence.objects.exists()


def test_a_channel_cannot_be_deleted_with_all_its_devices(admin_client: Client) -> None:
    make_registration(make_application())
    channel = Channel.objects.get()

    assert admin_client.post(_url(Channel, "delete", channel.pk), {"post": "yes"}).status_code == 403


def test_a_paused_lane_can_be_opened(admin_client: Client) -> None:
    lane = Lane.objects.create(application=make_application(), push_service=PushService.FCM, state="paused")
    form = {"application": lane.application_id, "push_service": "fcm", "origin": "", "state": "open"}

    admin_client.post(_url(Lane, "change", lane.pk), form)

    lane.refresh_from_db()
    assert lane.state == "open"


def _queries_of_device_list(client: Client) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(_url(DeviceRegistration, "changelist")).status_code == 200
    return len(queries)


def test_the_device_list_costs_the_same_for_more_devices(admin_client: Client) -> None:
    application = make_application()
    make_registration(application)
    _queries_of_device_list(admin_client)  # the first page of a session reads what later ones have cached
    with_one = _queries_of_device_list(admin_client)

    for _ in range(40):
        make_registration(application, channels=("news", "sport"))

    assert _queries_of_device_list(admin_client) == with_one


def test_segment_that_cannot_be_read_cannot_be_saved(db: None) -> None:
    form = SegmentForm({"application": make_application().pk, "name": "adults", "query": "age >"})

    assert "character 6" in str(form.errors["query"])
