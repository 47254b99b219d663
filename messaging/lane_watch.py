"""Judge the answers of a drain for what they say about the lane: renew tokens, throttle, pause, guard the audience."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from messaging import lanes, pacing
from messaging.batch_run import BatchRun, OnWire
from messaging.batches import ClaimedBatch
from messaging.guard import DropGuard
from messaging.providers.base import (
    CredentialFault,
    OutcomeKind,
    Provider,
    ProviderUnavailable,
    PushOutcome,
    Target,
    TransportFailure,
)
from messaging.senders import Sender
from messaging.window import Window

logger = logging.getLogger(__name__)

#: for a push service or token endpoint that cannot be reached and names no wait
UNREACHABLE_WAIT_S = 30.0
#: the lights of the console need no write per answer
_NOTE_EVERY_S = 5.0
#: answers that were on the wire together ask for the same wait: one of them is written down
_SAME_WAIT_S = 1.0


class LaneWatch:
    """Belongs to one drain and stops its runs (`runs` is the drain's own list) when their lane is in trouble."""

    def __init__(self, runs: list[BatchRun], window: Window) -> None:
        self._runs = runs
        self._window = window
        self._guards: dict[Provider, DropGuard] = {}
        self._authorizations: dict[Provider, int] = {}
        self._applications: dict[Provider, int] = {}
        self._noted_at = time.monotonic()
        self._blocked: dict[tuple[Provider, str], float] = {}  #: lane and origin; until, on the monotonic clock

    def open(self, batch: ClaimedBatch, sender: Sender, targets: Iterable[Target]) -> BatchRun:
        """A run that knows what is known of its lane; `runs` has it from now on."""
        provider = sender.provider
        self._applications[provider] = batch.application_pk
        run = BatchRun(batch, sender, targets, self._guards.setdefault(provider, DropGuard()))
        run.authorization = self._authorizations.get(provider, 0)
        for origin, lane in lanes.statuses(batch.application_pk, batch.push_service).items():
            self._blocked[provider, origin] = time.monotonic() + lane.wait_s
        self._runs.append(run)
        return run

    def origin_wait_s(self, run: BatchRun, target: Target) -> float:
        """Seconds until the device's own push server takes requests again; 0 when it does now."""
        if not self._blocked:
            return 0.0
        until = self._blocked.get((run.provider, run.provider.lane_key(target)), 0.0)
        return max(0.0, until - time.monotonic())

    def judge(self, sent: OnWire, outcome: PushOutcome) -> None:
        """Settle one answer with its run, and draw the conclusions for everybody in the lane."""
        run, guard = sent.run, sent.run.guard
        is_unanswered = outcome.kind is OutcomeKind.IN_DOUBT
        guard.count(suspect=outcome.is_suspicious, unanswered=is_unanswered, reason=outcome.reason)
        if not is_unanswered:
            self._window.heard(run.provider)
        if outcome.kind is OutcomeKind.ACCEPTED:
            guard.accept()
            if sent.authorization == run.authorization:
                self._window.prove(run)
            run.settle(sent.target, outcome)
        elif outcome.kind is OutcomeKind.REAUTH:
            self._reauthorize(sent, outcome)
        elif outcome.kind is OutcomeKind.PAUSE or (outcome.kind is OutcomeKind.KEY_REFUSED and guard.refuse_key()):
            self._pause(sent, outcome)
        else:
            guard.last_failure = outcome.reason
            run.settle(sent.target, outcome)
            if outcome.whole_lane or guard.is_silent:
                self._throttle(run, sent.target, outcome)
        if guard.has_tripped and self._guards.get(run.provider) is guard:
            self._trip(run)

    def heed_closed_lanes(self) -> None:
        """Stop the runs whose lane somebody else has closed: another worker, or a person in the console."""
        if not self._runs:
            return
        closed = lanes.closed_among({(run.batch.application_pk, run.batch.push_service) for run in self._runs})
        for run in self._runs:
            if (run.batch.application_pk, run.batch.push_service) in closed:
                run.is_stopped = True

    def note_answers(self, *, at_once: bool = False) -> None:
        """Write down that lanes work, and that they fail, every few seconds or at once."""
        now = time.monotonic()
        if not at_once and now - self._noted_at < _NOTE_EVERY_S:
            return
        self._noted_at = now
        for provider, guard in self._guards.items():
            accepted, failure = guard.has_accepted, guard.last_failure
            guard.has_accepted, guard.last_failure = False, ""
            lanes.note_answers(self._applications[provider], provider.push_service, accepted=accepted, failure=failure)

    def _reauthorize(self, sent: OnWire, outcome: PushOutcome) -> None:
        """Renew the access token once; requests that carried the old one are simply sent again."""
        run, provider = sent.run, sent.run.provider
        if sent.authorization == run.authorization:
            if run.authorization >= 1:
                self._pause(sent, outcome)
                return
            try:
                provider.authorize(refused=True)
            except (CredentialFault, ProviderUnavailable) as fault:
                self._stop_lane(run, str(fault), pause=isinstance(fault, CredentialFault))
            else:
                self._renew(provider, run.authorization + 1)
        run.unsent.appendleft(sent.target)

    def _renew(self, provider: Provider, authorization: int) -> None:
        self._authorizations[provider] = authorization
        for run in self._runs:
            if run.provider is provider:
                run.authorization = authorization
        self._window.doubt(provider)

    def _pause(self, sent: OnWire, outcome: PushOutcome) -> None:
        """Stop the lane. The device has no outcome, so it stays pending with the rest of its batch."""
        run = sent.run
        run.unsent.appendleft(sent.target)
        if run.is_stopped:
            return  # by the first of many equal answers
        logger.warning("lane paused: %s %s", run.batch.push_service.label, outcome.reason)
        run.guard.last_failure = outcome.reason
        service = run.batch.push_service.label
        words = f"{service} refused the credential: {outcome.reason}"
        if outcome.reason == TransportFailure.TLS.value:
            words = f"No TLS connection to {service} can be trusted"
        self._stop_lane(run, f"{words}. {outcome.detail}".strip(), pause=True)

    def _throttle(self, run: BatchRun, target: Target, outcome: PushOutcome) -> None:
        origin = run.provider.lane_key(target)
        wait_s = outcome.retry_after_s or UNREACHABLE_WAIT_S
        until = time.monotonic() + wait_s
        if until > self._blocked.get((run.provider, origin), 0.0) + _SAME_WAIT_S:
            self._blocked[run.provider, origin] = until
            pacing.heed(run.batch.application_pk, run.batch.push_service, outcome)
            lanes.throttle(run.batch.application_pk, run.batch.push_service, wait_s, origin=origin)
        if not origin:
            self._halt(run.provider)

    def _trip(self, run: BatchRun) -> None:
        service, guard = run.batch.push_service.label, run.guard
        logger.warning("lane paused: %s %s, %.0f%% of the answers", service, guard.suspicion, 100 * guard.share)
        self._stop_lane(
            run,
            f"{guard.share:.0%} of the latest answers were refusals like {guard.suspicion}: so many are not "
            "the fault of devices, and none is deactivated for it. Check the environment (sandbox or production), "
            "the topic and the account.",
            pause=True,
        )

    def _stop_lane(self, run: BatchRun, reason: str, *, pause: bool) -> None:
        if pause:
            self.note_answers(at_once=True)
            self._guards.pop(run.provider, None)  # whoever opens the lane again begins a new count
            lanes.pause(run.batch.application_pk, run.batch.push_service, reason)
        else:
            lanes.throttle(run.batch.application_pk, run.batch.push_service, UNREACHABLE_WAIT_S)
        self._halt(run.provider)

    def _halt(self, provider: Provider) -> None:
        for run in self._runs:
            if run.provider is provider:
                run.is_stopped = True
