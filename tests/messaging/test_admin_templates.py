"""Templates in Django admin: what cannot be sent cannot be saved, and the error names the place."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.admin_templates import AndroidChannelTemplateForm, ButtonTemplateForm, PushTemplateForm
from tests.factories import make_application

pytestmark = pytest.mark.django_db


def form_with(**values: Any) -> PushTemplateForm:
    return PushTemplateForm(
        {"application": make_application().pk, "name": "welcome", "channel_name": "Default", "message": "Hi", **values}
    )


def test_template_with_options_of_the_hosted_console_is_saved() -> None:
    form = form_with(
        platforms=["IOS", "ANDROID"],
        android='{"contentTitle": "T", "ttlSeconds": 2419200}',
        ios='{"alertTitle": "T", "badge": 1}',
    )

    template = form.save()

    assert (template.osx, template.channel_name, template.platforms) == ({}, "default", ["IOS", "ANDROID"])
    assert template.android == {"contentTitle": "T", "ttlSeconds": 2419200}


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("android", '{"ttlSeconds": -1}', "$.ttlSeconds"),
        ("android", '{"colorCode": "red"}', "$.colorCode"),
        ("ios", '{"badge": "many"}', "$.badge"),
        ("ios", '{"alertTitel": "T"}', "alertTitel"),
        ("name", "a/b", "slash"),
        ("name", "subscribe", "subscribe"),
        ("channel_name", "push", "reserved"),
        ("segment_query", "age >> 18", "character 6"),
        ("segment_query", "age > {age}", "character 7"),
        ("segment_query", "created > 'soon'", "character 11"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(field: str, value: str, place: str) -> None:
    form = form_with(**{field: value})

    assert not form.is_valid()
    assert place in str(form.errors[field])


@pytest.mark.parametrize("query", ["", "age > '{age}' and city = '{city|O''Fallon}'", "created > '{since}'"])
def test_values_of_the_call_may_stand_inside_the_quotes_of_a_segment_query(query: str) -> None:
    assert form_with(segment_query=query).is_valid()


def test_buttons_must_have_a_title() -> None:
    form = ButtonTemplateForm(
        {"application": make_application().pk, "platform": "IOS", "name": "reply", "buttons": '[{"id": "a"}]'}
    )

    assert "title" in str(form.errors["buttons"])


def test_channel_importance_is_1_to_5() -> None:
    form = AndroidChannelTemplateForm(
        {"application": make_application().pk, "name": "loud", "options": '{"priority": 9}'}
    )

    assert "$.priority" in str(form.errors["options"])
