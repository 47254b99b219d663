"""What must hold after every step: tables, simulators' log and the test's own knowledge say the same."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connection, transaction

from messaging.ledger import Ledger, ledgers_of
from messaging.models import (
    SKIPPED_OUTCOMES,
    Batch,
    BatchState,
    Delivery,
    DeliveryOutcome,
    MessageStatus,
    Occurrence,
    OccurrenceState,
)
from tests.messaging.engine_model import Campaign, World

#: our credential was refused: the push service did not look at the device, and no try is counted
_UNTRIED = frozenset({401, 403})


@dataclass(frozen=True)
class Books:
    """All occurrences at one moment, read in one snapshot."""

    occurrences: list[Occurrence]
    ledgers: dict[int, Ledger]
    batches: dict[int, list[Batch]]
    deliveries: dict[int, list[Delivery]]

    @classmethod
    def read(cls) -> Books:
        """The books now; other processes may be writing."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            occurrences = list(Occurrence.objects.select_related("message").order_by("message", "n", "retry_no"))
            batches, deliveries = defaultdict(list), defaultdict(list)
            for batch in Batch.objects.all():
                batches[batch.occurrence_id].append(batch)
            for delivery in Delivery.objects.all():
                deliveries[delivery.occurrence_id].append(delivery)
            return cls(occurrences, ledgers_of(occurrences), batches, deliveries)

    def targeted(self, occurrence_pk: int) -> list[int]:
        """Registration ids of its batches."""
        return [pk for batch in self.batches[occurrence_pk] for pk in batch.registration_ids]

    @cached_property
    def tries(self) -> dict[int, Counter[int]]:
        """Message -> registration -> requests it may have had: those recorded, and one more where none is final."""
        tries: dict[int, Counter[int]] = defaultdict(Counter)
        for occurrence in self.occurrences:
            known = {delivery.registration_id: delivery.tries for delivery in self.deliveries[occurrence.pk]}
            for batch in self.batches[occurrence.pk]:
                for pk in batch.registration_ids:
                    tries[occurrence.message_id][pk] += known.get(pk, batch.tries + 1)
        return tries

    @cached_property
    def firings(self) -> dict[int, Counter[int]]:
        """Message -> registration -> occurrences it belongs to."""
        firings: dict[int, Counter[int]] = defaultdict(Counter)
        for occurrence in self.occurrences:
            firings[occurrence.message_id].update(self.targeted(occurrence.pk))
        return firings


def check_ledgers(books: Books) -> None:
    """targeted = accepted + failed + skipped + pending, counted from what is stored for each device."""
    for occurrence in books.occurrences:
        targeted = books.targeted(occurrence.pk)
        settled = [delivery.registration_id for delivery in books.deliveries[occurrence.pk]]
        assert len(targeted) == len(set(targeted)), f"{occurrence}: a device is in two batches"
        assert len(settled) == len(set(settled)), f"{occurrence}: a device has two outcomes"
        assert set(settled) <= set(targeted), f"{occurrence}: an outcome of a device that is not targeted"
        for batch in books.batches[occurrence.pk]:
            open_ids = set(batch.registration_ids) - set(settled)
            assert batch.state != BatchState.DONE or not open_ids, f"{batch} is done without outcomes of {open_ids}"
        ledger = books.ledgers[occurrence.pk]
        assert ledger == _counted(targeted, books.deliveries[occurrence.pk]), f"{occurrence}: {ledger}"
        assert ledger.pending == len(set(targeted) - set(settled)), f"{occurrence}: {ledger}"
        assert occurrence.closed_at is None or ledger.pending == 0, f"{occurrence} is closed with {ledger}"


def _counted(targeted: list[int], deliveries: list[Delivery]) -> Ledger:
    outcomes = Counter(DeliveryOutcome(delivery.outcome) for delivery in deliveries)
    skipped = sum(count for outcome, count in outcomes.items() if outcome in SKIPPED_OUTCOMES)
    accepted = outcomes[DeliveryOutcome.ACCEPTED]
    return Ledger(
        targeted=len(targeted), accepted=accepted, failed=outcomes.total() - accepted - skipped, skipped=skipped
    )


def check_audience(books: Books, world: World) -> None:
    """Whom an occurrence is for: all who belonged to it all the time, none who never did."""
    for occurrence in books.occurrences:
        campaign, targeted = world.campaigns[occurrence.message_id], set(books.targeted(occurrence.pk))
        if occurrence.pk in campaign.retries:
            assert targeted == campaign.retries[occurrence.pk], f"{occurrence} retries others than the failed"
        else:
            assert targeted <= campaign.may, f"{occurrence} reaches {targeted - campaign.may}"
        if occurrence.state == OccurrenceState.DONE and not occurrence.retry_no:
            assert campaign.must <= targeted, f"{occurrence} leaves out {campaign.must - targeted}"


def requests_of(log: list[dict[str, Any]], campaigns: list[Campaign]) -> dict[int, list[dict[str, Any]]]:
    """The log's requests by message; fails for one that shows what a message said before it was edited."""
    found: dict[int, list[dict[str, Any]]] = {campaign.message_pk: [] for campaign in campaigns}
    for entry in log:
        shown = json.dumps(entry["notification"])
        for campaign in campaigns:
            assert not any(text in shown for text in campaign.old_texts), f"{campaign.name}: an old version was sent"
            if campaign.text in shown:
                found[campaign.message_pk].append(entry)
    return found


def check_requests(books: Books, world: World, log: list[dict[str, Any]], *, late: list[dict[str, Any]]) -> None:
    """Every accepted device had a request, and none had more than what is recorded explains.

    `log` was read before the books and `late` after them: an answer is logged before it can be recorded.
    """
    campaigns = list(world.campaigns.values())
    early, all_ = requests_of(log, campaigns), requests_of(late, campaigns)
    for campaign in campaigns:
        _check_bounds(books, world, campaign, early[campaign.message_pk])
        taken = {entry["token"] for entry in all_[campaign.message_pk] if entry["status"] in (200, 201)}
        reached = {pk for _, holders in world.holders_of(taken) for pk in holders}
        for occurrence in books.occurrences:
            if occurrence.message_id == campaign.message_pk:
                accepted = {
                    delivery.registration_id
                    for delivery in books.deliveries[occurrence.pk]
                    if delivery.outcome == DeliveryOutcome.ACCEPTED
                }
                assert accepted <= reached, f"{occurrence}: accepted without a request: {accepted - reached}"


def _check_bounds(books: Books, world: World, campaign: Campaign, requests: list[dict[str, Any]]) -> None:
    counts = Counter(str(entry["token"]) for entry in requests if entry["status"] not in _UNTRIED)
    tries, firings = books.tries[campaign.message_pk], books.firings[campaign.message_pk]
    # a message that must not be doubled is not, whoever dies
    deaths = world.overtaken + (world.deaths if campaign.may_resend else 0)
    for token, holders in world.holders_of(counts):
        allowed = sum(tries[pk] + deaths * firings[pk] for pk in holders)
        assert counts[token] <= allowed, (
            f"{campaign.name}: {counts[token]} requests to {token[-24:]}, {allowed} explained"
        )


def check_ended(books: Books, world: World) -> None:
    """Nothing is open any more, and each message says how it ended."""
    for occurrence in books.occurrences:
        assert occurrence.closed_at is not None, f"{occurrence} is not closed: {books.ledgers[occurrence.pk]}"
    for campaign in world.campaigns.values():
        own = [occurrence for occurrence in books.occurrences if occurrence.message_id == campaign.message_pk]
        status = own[0].message.status
        assert status in _endings(campaign, own), f"{campaign.name} ended as {status}"


def _endings(campaign: Campaign, occurrences: list[Occurrence]) -> set[str]:
    """The statuses that agree with what became of the firings."""
    if campaign.is_cancelled:
        return {MessageStatus.CANCELLED}
    if any(occurrence.accepted for occurrence in occurrences):
        return {MessageStatus.PUBLISHED}
    endings: set[str] = set()
    if any(occurrence.failed for occurrence in occurrences):
        endings.add(MessageStatus.FAILED)
    if any(occurrence.state == OccurrenceState.CANCELLED for occurrence in occurrences):
        endings.add(MessageStatus.CANCELLED)
    return endings or {MessageStatus.PUBLISHED}
