"""Plan and send for a while: claim batches, fill the window, take answers, write results, until nothing is left.

Several batches are in hand at once so that a device that does not answer holds up its own batch and no other.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Collection

from django.db import InterfaceError, OperationalError

from messaging import batches, closing, fanout, feedback, heartbeat, lanes, metrics, owners, pacing, queue, rescue
from messaging.batch_run import BatchRun, OnWire
from messaging.batches import Steering
from messaging.errors import InvalidPushHeader
from messaging.lane_watch import UNREACHABLE_WAIT_S, LaneWatch
from messaging.models import DeliveryOutcome
from messaging.personalisation import CannotPersonalise
from messaging.providers.base import (
    CredentialFault,
    HttpAnswer,
    InvalidTarget,
    OutcomeKind,
    PayloadTooLarge,
    Provider,
    ProviderUnavailable,
    PushOutcome,
    Target,
)
from messaging.senders import Sender, discard, sender_for
from messaging.verdicts import Result
from messaging.window import FLUSH_AT, Window

logger = logging.getLogger(__name__)

FLUSH_AFTER_S = 0.5
#: of a batch that is done: the end of its campaign, and the next firing of a fast series, wait for it
_FLUSH_DONE_AFTER_S = 0.1
_RUN_FOR_S = 20.0
#: longer while a lane does not answer: its requests are waited for, and the others must not wait with them
_RUN_LONGER_S = 10.0
#: after the 20 s answers are waited for, a little longer than a request may take
_PATIENCE_S = 16.0
_TEND_EVERY_S = 1.0
#: after longer without a sign of life nothing leaves before the leases are seen to be still ours, and nothing is given
#: up before the answers that came meanwhile are taken
_SURE_FOR_S = 5.0
_MOST_BATCHES = 32
_CLAIM_EVERY_S = 0.1
_PLAN_EVERY_S = 0.05

_NO_ANSWER = PushOutcome(kind=OutcomeKind.IN_DOUBT, reason="in_doubt", detail="The push service did not answer.")

#: never reused in a process: an answer that outlived the drain that asked must not be taken for another
_keys = itertools.count(1)


def _clock() -> float:
    """Seconds; unlike `time.monotonic` it goes on while the machine sleeps, as leases do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Drain:
    """One `drain` job. Not shared between threads.

    `alive` is called each second while it goes on, while the database is away as well.
    """

    def __init__(self, alive: Callable[[], object] = bool) -> None:
        self._alive = alive
        self._group = os.environ.get("CLARION_WORKER_GROUP", "")
        self._owner = owners.new_owner(self._group)
        self._runs: list[BatchRun] = []
        self._window = Window(self._runs)
        self._watch = LaneWatch(self._runs, self._window)
        self._on_wire: dict[int, OnWire] = {}
        self._claim_at = self._plan_at = 0.0
        self._stop_at = time.monotonic() + _RUN_FOR_S
        self._longest = _RUN_LONGER_S
        self._tended_at = _clock()
        self._pacer = pacing.Pacer()
        self._counter = metrics.OutcomeCounter()

    def run(self) -> None:
        """Send until no batch is open or the time is over; then finish what is on the wire and give the rest back."""
        try:
            while self._look_for_work() or self._runs:
                self._tend()
                self._fill()
                self._receive()
                self._write_due()
        except (InterfaceError, OperationalError):
            rescue.keep_answers(self._runs, self._on_wire, self._sign_of_life)
            raise
        self._counter.flush()
        self._watch.note_answers(at_once=True)

    def stop(self) -> None:
        """Finish what is on the wire and give the rest back; safe to call from a signal handler."""
        self._stop_at = min(self._stop_at, time.monotonic())
        self._longest = 0.0

    def _is_over(self, now: float) -> bool:
        """Whether nothing more is claimed or sent."""
        return now >= self._stop_at + (self._longest if self._window.has_silent_lane else 0.0)

    def _sign_of_life(self) -> None:
        self._alive()
        batches.extend_leases(self._owner)
        if self._group:
            heartbeat.seen(self._group)

    # planning and claiming

    def _look_for_work(self) -> bool:
        if not self._runs:
            # Only who has just looked may end: a batch can be sent and written between two looks
            self._claim_at = self._plan_at = 0.0
        return self._plan() | self._claim_while_hungry()

    def _plan(self) -> bool:
        """Plan a page of a due occurrence, so that its first devices need not wait for a free worker."""
        now = time.monotonic()
        if now < self._plan_at or self._is_over(now):
            return False
        planned = fanout.plan_next_page()
        if planned:
            queue.ring_ticker()  # there is work for more drains
        else:
            self._plan_at = time.monotonic() + _PLAN_EVERY_S
        return planned

    def _claim_while_hungry(self) -> bool:
        claimed = False
        while self._is_hungry():
            full = [run.batch for run in self._runs if run.unsent]
            slow = {batch.occurrence_id for batch in full if self._pacer.is_slow_message(batch.limits)}
            held = {(batch.application_pk, batch.push_service) for batch in full if batch.occurrence_id not in slow}
            in_hand = [run.batch.pk for run in self._runs]
            batch = batches.claim(self._owner, passing_over=held, slow=slow, in_hand=in_hand)
            if batch is None:
                self._claim_at = time.monotonic() + _CLAIM_EVERY_S
                break
            claimed = True
            self._open(batch)
            self._fill()
        return claimed

    def _is_hungry(self) -> bool:
        """What is in hand has left as far as it may, and there is room."""
        now = time.monotonic()
        return (
            self._claim_at <= now
            and not self._is_over(now)
            and len(self._runs) < _MOST_BATCHES
            and self._window.room > 0
        )

    def _open(self, batch: batches.ClaimedBatch) -> None:
        """Start a batch, or settle it where nothing can be sent."""
        ids = batches.without_outcome(batch)
        if batch.is_cancelled:
            self._close_unsent(batch, [Result(pk, DeliveryOutcome.CANCELLED) for pk in ids])
            return
        if batch.life_s is not None and batch.life_s <= 0:
            self._close_unsent(batch, [Result(pk, DeliveryOutcome.EXPIRED) for pk in ids])
            return
        try:
            sender = sender_for(batch)
        except CredentialFault as fault:
            lanes.pause(batch.application_pk, batch.push_service, str(fault))
            batches.release(batch)
        except ProviderUnavailable as trouble:
            lanes.throttle(batch.application_pk, batch.push_service, trouble.retry_after_s or UNREACHABLE_WAIT_S)
            batches.release(batch)
        except (PayloadTooLarge, InvalidPushHeader) as error:
            reason = type(error).__name__
            self._close_unsent(batch, [Result(pk, DeliveryOutcome.FAILED, reason, detail=str(error)) for pk in ids])
        else:
            self._start(batch, sender.for_devices(ids), ids)

    def _start(self, batch: batches.ClaimedBatch, sender: Sender, ids: list[int]) -> None:
        # An interrupted attempt may have sent to these already
        begun = [] if batch.may_resend else [pk for pk in ids if pk <= batch.begun]
        fresh = set(ids).difference(begun)
        targets = batches.targets(batch, list(fresh))
        run = self._watch.open(batch, sender, targets)
        for pk in begun:
            run.finish(Result(pk, DeliveryOutcome.UNKNOWN, "Interrupted"))
        for missing in fresh.difference(target.registration_id for target in targets):
            run.finish(Result(missing, DeliveryOutcome.UNREGISTERED))

    def _close_unsent(self, batch: batches.ClaimedBatch, results: list[Result]) -> None:
        self._counter.record([feedback.Progress(batch=batch, results=results, is_finished=True)])
        closing.close_if_finished(batch.occurrence_id)

    # sending

    def _fill(self) -> None:
        self._window.divide()
        for run in self._runs:
            allowed = self._pacer.allowed(run.batch.limits, self._window.allowance(run))
            if not run.batch.may_resend and allowed > 0 and not self._announce(run, allowed):
                run.is_stopped = True  # taken over: who has it now sends to these
                continue
            on_wire = run.on_wire
            for _ in range(min(allowed, len(run.unsent))):
                if self._stood_still:
                    break  # somebody else may be sending to these by now
                self._send(run, run.unsent.popleft())
            self._pacer.used(run.batch.limits, run.on_wire - on_wire)

    def _send(self, run: BatchRun, target: Target) -> None:
        if wait_s := self._watch.origin_wait_s(run, target):
            run.postpone(target, wait_s, tries=run.batch.tries)
            return
        key = next(_keys)
        try:
            request = run.sender.prepared.request(key, target)
        except InvalidTarget as error:
            run.finish(Result(target.registration_id, DeliveryOutcome.NOT_SENDABLE, "InvalidTarget", detail=str(error)))
            return
        except CannotPersonalise as error:
            run.finish(Result(target.registration_id, DeliveryOutcome.NOT_SENDABLE, error.reason, detail=str(error)))
            return
        self._on_wire[key] = OnWire(run, target, run.authorization)
        run.on_wire += 1
        run.provider.transport.submit(request)

    def _announce(self, run: BatchRun, count: int) -> bool:
        """For a message that must not be doubled: record whom requests go to before they leave, a hundred ahead.

        False: the batch is no longer ours.
        """
        if run.unsent[min(len(run.unsent), count) - 1].registration_id <= run.begun_through:
            return True
        run.begun_through = run.unsent[min(len(run.unsent), count + FLUSH_AT) - 1].registration_id
        return batches.note_begun(run.batch, run.begun_through)

    # answers

    def _receive(self) -> None:
        providers = {run.provider for run in self._runs if run.on_wire}
        if not providers and any(run.unsent and not run.is_stopped for run in self._runs):
            time.sleep(pacing.NAP_S)
        # nobody's answers wait for those of a provider that is silent: only where none has any is one waited for
        if not self._take_answers(providers, 0.0) and providers:
            self._take_answers(providers, 0.05 / len(providers))

    def _take_answers(self, providers: Collection[Provider], wait_s: float) -> bool:
        """Whether there were any; `wait_s` is how long to wait for each provider's first."""
        answered = False
        for provider in providers:
            for answer in provider.transport.poll(0.0 if answered else wait_s):
                answered = True
                self._take(provider, answer)
        return answered

    def _take(self, provider: Provider, answer: HttpAnswer) -> None:
        sent = self._on_wire.pop(answer.key, None)
        if sent is None:
            return
        sent.run.on_wire -= 1
        self._watch.judge(sent, provider.parse(answer))

    # writing

    def _write_due(self) -> None:
        if self._runs and self._is_writing_due():
            self._write([run for run in self._runs if run.unwritten or run.is_idle])

    def _is_writing_due(self) -> bool:
        """Enough results, old ones, or nothing else to do. A commit is for all the batches in hand."""
        if self._window.unwritten >= FLUSH_AT or self._window.room <= 0:
            return True
        now = time.monotonic()
        return all(run.is_idle for run in self._runs) or any(
            run.unwritten_for(now) >= (_FLUSH_DONE_AFTER_S if run.is_idle else FLUSH_AFTER_S)
            or (run.is_idle and not run.unwritten)
            for run in self._runs
        )

    def _write(self, runs: list[BatchRun]) -> None:
        with rescue.progress_of(runs) as progress:
            lost = {batch.pk for batch in self._counter.record(progress)}
        for run in [run for run in runs if run.is_idle]:
            self._runs.remove(run)
            if run.is_finished:
                closing.close_if_finished(run.batch.occurrence_id)
            elif run.batch.pk not in lost:
                batches.release(run.batch)
        for run in self._runs:
            if run.batch.pk in lost:
                run.is_stopped = True

    # upkeep

    def _tend(self) -> None:
        now = _clock()
        if now - self._tended_at < _TEND_EVERY_S:
            return
        self._alive()
        self._heed_time(time.monotonic())
        self._tended_at = now
        held = batches.extend_leases(self._owner)
        for run in self._runs:
            run.is_stopped |= run.batch.pk not in held
        if self._group and heartbeat.seen(self._group):
            self.stop()
        self._heed_people()
        self._watch.heed_closed_lanes()
        self._watch.note_answers()

    @property
    def _stood_still(self) -> bool:
        """Whether the process, or the database it asked, took so long that answers wait and leases may be lost."""
        return _clock() - self._tended_at > _SURE_FOR_S

    def _heed_time(self, now: float) -> None:
        if now >= self._stop_at + _PATIENCE_S and not self._stood_still:
            self._abandon()
        for run in self._runs:
            run.is_stopped |= run.life_s <= 0 or (self._is_over(now) and bool(run.unsent))

    def _heed_people(self) -> None:
        steered = batches.steered_among([run.batch.occurrence_id for run in self._runs])
        for run in self._runs:
            steering = steered.get(run.batch.occurrence_id)
            if steering is Steering.CANCELLED:
                run.finish_unsent(DeliveryOutcome.CANCELLED, "")
            run.is_stopped |= steering is Steering.PAUSED

    def _abandon(self) -> None:
        """Give up on requests that still queue behind hanging ones: the next drain begins with new connections."""
        for sent in self._on_wire.values():
            sent.run.on_wire -= 1
            sent.run.settle(sent.target, _NO_ANSWER)
        for provider in {sent.run.provider for sent in self._on_wire.values()}:
            discard(provider)
        self._on_wire.clear()
