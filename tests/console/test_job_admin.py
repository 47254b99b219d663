"""Background jobs in the data administration are there to read: whoever could write one could run any function."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django_q.models import Schedule

from messaging.queue import ensure_periodic_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser(username="root", password="correct horse battery"))
    return client


def test_housekeeping_is_visible(administrator: Client) -> None:
    ensure_periodic_jobs()

    assert b"expire registrations" in administrator.get("/admin/django_q/schedule/").content


def test_nobody_adds_or_changes_a_schedule(administrator: Client) -> None:
    ensure_periodic_jobs()
    row = Schedule.objects.earliest("pk")

    administrator.post(f"/admin/django_q/schedule/{row.pk}/change/", {"func": "os.system", "args": "'id'"})

    assert administrator.post("/admin/django_q/schedule/add/", {"func": "os.system"}).status_code == 403
    assert not Schedule.objects.filter(func="os.system").exists()


@pytest.mark.parametrize("model", ["ormq", "success"])
def test_queue_and_results_have_no_page(administrator: Client, model: str) -> None:
    assert administrator.get(f"/admin/django_q/{model}/").status_code == 404
