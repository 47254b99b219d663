"""One claimed batch while this process sends it: what is still to send, what came back, what is to be written."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from devices.registration import GoneToken
from messaging.batches import ClaimedBatch
from messaging.feedback import Postponed, Progress
from messaging.guard import DropGuard
from messaging.models import DeliveryOutcome
from messaging.providers.base import OutcomeKind, Provider, PushOutcome, Target
from messaging.senders import Sender
from messaging.verdicts import Result, final_result, retry_delay_s

#: identical refusals of the payload after which the rest of the batch is not tried (reliability.md 1)
_SAME_REFUSALS = 3


class BatchRun:
    """Belongs to one drain; touches no database."""

    def __init__(self, batch: ClaimedBatch, sender: Sender, targets: Iterable[Target], guard: DropGuard) -> None:
        self.batch = batch
        self.sender = sender
        self.provider: Provider = sender.provider
        self.authorization = 0  #: generation of the access token its requests carry
        self.unsent: deque[Target] = deque(targets)
        self.on_wire = 0
        self.is_stopped = False  #: nothing more is sent; what is unsent goes back
        self.guard = guard
        self._progress = Progress(batch=batch)
        self._oldest_unwritten: float | None = None
        self._refusals: dict[str, int] = {}
        self._accepted = 0
        self._expires_at = time.monotonic() + (math.inf if batch.life_s is None else batch.life_s)
        self.begun_through = batch.begun  #: requests may leave up to this registration id (in doubt: skip)

    @property
    def unwritten(self) -> int:
        """Results not yet recorded."""
        return len(self._progress.results)

    @property
    def is_finished(self) -> bool:
        """Every device has a result or is postponed."""
        return not self.unsent and not self.on_wire

    @property
    def is_idle(self) -> bool:
        """Nothing is on the wire and nothing more will be sent."""
        return not self.on_wire and (self.is_stopped or not self.unsent)

    def settle(self, target: Target, outcome: PushOutcome) -> None:
        """Take an answer that is final for now: a result, or another try later."""
        tries = self.batch.tries + 1
        result = final_result(target.registration_id, outcome, tries, may_resend=self.batch.may_resend)
        if result is None:
            self._retry(target, outcome, tries)
            return
        self.finish(result)
        if outcome.kind is OutcomeKind.ACCEPTED:
            self._accepted += 1
        elif outcome.kind is OutcomeKind.FAIL_MESSAGE:
            self._refuse_payload(outcome)
        elif outcome.kind is OutcomeKind.GONE or (outcome.kind is OutcomeKind.SUSPECT and self.guard.may_drop):
            self._progress.gone.append(
                GoneToken(target.registration_id, target.token, outcome.reason, outcome.gone_since)
            )

    def _retry(self, target: Target, outcome: PushOutcome, tries: int) -> None:
        delay_s = retry_delay_s(outcome, tries)
        if delay_s >= self.life_s:
            self.finish(
                Result(
                    target.registration_id,
                    DeliveryOutcome.EXPIRED,
                    outcome.reason,
                    outcome.http_status,
                    "",
                    outcome.detail,
                )
            )
        else:
            self.postpone(target, delay_s, tries=tries)

    @property
    def life_s(self) -> float:
        """Seconds until the message expires."""
        return self._expires_at - time.monotonic()

    def finish(self, result: Result) -> None:
        """Take the result of one device."""
        self._progress.results.append(result)
        if self._oldest_unwritten is None:
            self._oldest_unwritten = time.monotonic()

    def finish_unsent(self, outcome: DeliveryOutcome, reason: str, http_status: int = 0, detail: str = "") -> None:
        """Give every device not yet sent to the same result."""
        while self.unsent:
            target = self.unsent.popleft()
            self.finish(Result(target.registration_id, outcome, reason, http_status, "", detail))

    def postpone(self, target: Target, delay_s: float, *, tries: int) -> None:
        """Try the device again later, in a batch of its own."""
        self._progress.postponed.append(Postponed(target.registration_id, delay_s, tries))

    def unwritten_for(self, now: float) -> float:
        """Seconds the oldest unrecorded result has waited."""
        return 0.0 if self._oldest_unwritten is None else now - self._oldest_unwritten

    def take_progress(self) -> Progress:
        """What is to be written now. Retries are kept until the end: they then share one batch."""
        progress = self._progress
        self._progress = Progress(batch=self.batch)
        if self.is_finished or self.is_stopped:
            progress.is_finished = self.is_finished
        else:
            self._progress.postponed = progress.postponed
            progress.postponed = []
        self._oldest_unwritten = None
        return progress

    def put_back(self, progress: Progress) -> None:
        """Keep what could not be written."""
        progress.postponed += self._progress.postponed
        progress.is_finished = False
        self._progress = progress

    def _refuse_payload(self, outcome: PushOutcome) -> None:
        seen = self._refusals[outcome.reason] = self._refusals.get(outcome.reason, 0) + 1
        if seen >= _SAME_REFUSALS and not self._accepted:
            self.finish_unsent(DeliveryOutcome.FAILED, outcome.reason, outcome.http_status, outcome.detail)


@dataclass(frozen=True, slots=True)
class OnWire:
    """A request that left and has no answer yet."""

    run: BatchRun
    target: Target
    authorization: int  #: generation of the access token the request carried
