"""Segments in the composer: saved ones by name, or a condition of one's own; never silently dropped."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client

from devices.models import Application, Segment
from messaging import database
from messaging.models import Message
from messaging.publishing import Publisher, PublishRequest, publish
from tests.console.rows import address, compose_values, make_message
from tests.console.test_compose import reviewed
from tests.console.test_forms import filled
from tests.factories import make_application, make_registration

GOLD = "plan = 'gold'"


@pytest.fixture
def gold(application: Application) -> Segment:
    """A saved segment, and one device in it."""
    device = make_registration(application)
    device.attributes = {"plan": "gold"}
    device.save()
    return Segment.objects.create(application=application, name="Gold customers", query=GOLD)


def test_a_saved_segment_narrows_whom_the_message_reaches(
    page: Client, application: Application, gold: Segment
) -> None:
    html = page.post(address(application, "compose/preview/"), compose_values(segment=str(gold.pk))).content.decode()

    assert "Send to 1 device" in html
    assert "&quot;segmentQuery&quot;: &quot;plan = " in html


def test_a_condition_of_its_own_is_published(page: Client, application: Application, gold: Segment) -> None:
    values = reviewed(page, application, segment="own", segment_query=" plan = 'gold' ")

    page.post(address(application, "compose/send/"), values)

    assert Message.objects.get().segment_query == GOLD


@pytest.mark.parametrize(
    ("typed", "words"),
    [("", "Write the condition."), ("plan =", "Character"), ("plan = 'gold' OR; DROP", "Character")],
)
def test_a_condition_that_cannot_be_read_is_an_error_at_its_field(
    application: Application, typed: str, words: str
) -> None:
    form = filled(application, segment="own", segment_query=typed)

    assert not form.is_valid()
    assert form.errors["segment_query"][0].startswith(words)


def test_a_faulty_condition_is_never_counted_as_everyone(page: Client, application: Application, gold: Segment) -> None:
    html = page.post(
        address(application, "compose/preview/"), compose_values(segment="own", segment_query="plan =")
    ).content.decode()

    assert "Choose who gets it" in html
    assert "reach-total" not in html


def test_a_segment_of_another_application_cannot_be_chosen(application: Application) -> None:
    foreign = Segment.objects.create(application=make_application("Another Shop"), name="Theirs", query=GOLD)

    form = filled(application, segment=str(foreign.pk))

    assert "segment" in form.errors


def test_a_saved_segment_changed_during_the_review_is_asked_again(
    page: Client, application: Application, gold: Segment
) -> None:
    values = reviewed(page, application, segment=str(gold.pk))
    Segment.objects.filter(pk=gold.pk).update(query="plan in ('gold')")

    html = page.post(address(application, "compose/send/"), values).content.decode()

    assert "Review and confirm" in html
    assert not Message.objects.exists()


@pytest.mark.parametrize(("query", "chosen"), [(GOLD, None), ("plan = 'silver'", "own")])
def test_cloning_keeps_the_segment(
    page: Client, application: Application, gold: Segment, query: str, chosen: str | None
) -> None:
    message = make_message(application, segment_query=query)

    html = page.get(address(application, f"compose/?from={message.message_id}")).content.decode()

    assert re.search(rf'<option value="{chosen or gold.pk}" selected>', html)


def test_a_message_the_form_cannot_say_is_neither_cloned_nor_edited(page: Client, application: Application) -> None:
    message = make_message(application, push_singlecast=["kims-phone"], push_broadcast=1)

    for path in (f"compose/?from={message.message_id}", f"messages/{message.message_id}/edit/"):
        html = page.get(address(application, path), follow=True).content.decode()

        assert "only the API can publish it" in html
        assert "Clone" not in html


def test_editing_keeps_what_the_form_has_no_field_for(page: Client, application: Application) -> None:
    message = publish(
        application=application,
        request=PublishRequest(
            channel_name="default",
            body="Tea",
            publisher_id="till 4",
            subtopic="tea",
            publish_at=database.now() + timedelta(hours=1),
        ),
        publisher=Publisher(may_publish=True),
    )

    page.post(
        address(application, f"messages/{message.message_id}/edit/"),
        compose_values(body="Coffee", when="later", send_on="2027-01-01T10:00", zone="UTC", seen_version="1"),
    )

    message.refresh_from_db()
    assert (message.body, message.publisher_id, message.subtopic) == ("Coffee", "till 4", "tea")
