"""Every way a device can end without being accepted has an explanation."""

from __future__ import annotations

import pytest

from console.reasons import explain
from devices.push_services import PushService
from messaging.models import DeliveryOutcome


@pytest.mark.parametrize("service", PushService)
@pytest.mark.parametrize("outcome", [outcome for outcome in DeliveryOutcome if outcome != DeliveryOutcome.ACCEPTED])
def test_an_unknown_word_is_explained_by_its_outcome(service: PushService, outcome: DeliveryOutcome) -> None:
    explanation = explain(service, outcome, "SomethingNew", 0)

    assert explanation.meaning and explanation.action


def test_a_missing_template_value_is_for_whoever_wrote_the_message() -> None:
    explanation = explain(PushService.FCM, DeliveryOutcome.NOT_SENDABLE, "TemplateValueMissing", 0)

    assert "default" in explanation.action
