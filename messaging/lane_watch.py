"""Judge the answers of a drain for what they say about the lane: renew tokens, throttle, pause, guard the audience."""

from __future__ import annotations

import logging
import time

from messaging import lanes, pacing
from messaging.batch_run import BatchRun, OnWire
from messaging.guard import DropGuard
from messaging.providers.base import (
    CredentialFault,
    OutcomeKind,
    Provider,
    ProviderUnavailable,
    PushOutcome,
    Target,
)
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
        self._noted: dict[tuple[Provider, str], float] = {}
        self._blocked: dict[tuple[Provider, str], float] = {}  #: lane and origin; until, on the monotonic clock

    def guard_of(self, provider: Provider) -> DropGuard:
        """The count of doubtful refusals of one lane in this drain."""
        return self._guards.setdefault(provider, DropGuard())

    def authorization_of(self, provider: Provider) -> int:
        """Generation of the access token that requests carry now."""
        return self._authorizations.get(provider, 0)

    def look_at(self, run: BatchRun) -> None:
        """Remember which single origins of the run's lane must wait."""
        for origin, lane in lanes.statuses(run.batch.application_pk, run.batch.push_service).items():
            self._blocked[run.provider, origin] = time.monotonic() + lane.wait_s

    def origin_wait_s(self, run: BatchRun, target: Target) -> float:
        """Seconds until the device's own push server takes requests again; 0 when it does now."""
        if not self._blocked:
            return 0.0
        until = self._blocked.get((run.provider, run.provider.lane_key(target)), 0.0)
        return max(0.0, until - time.monotonic())

    def judge(self, sent: OnWire, outcome: PushOutcome) -> None:
        """Settle one answer with its run, and draw the conclusions for everybody in the lane."""
        run, guard = sent.run, sent.run.guard
        guard.count(suspect=outcome.is_suspicious, unanswered=outcome.kind is OutcomeKind.IN_DOUBT)
        if outcome.kind is OutcomeKind.ACCEPTED:
            if sent.authorization == self.authorization_of(run.provider):
                self._window.prove(run)
            run.settle(sent.target, outcome)
            self._note(run, accepted=True)
        elif outcome.kind is OutcomeKind.REAUTH:
            self._reauthorize(sent, outcome)
        elif outcome.kind is OutcomeKind.PAUSE:
            self._pause(sent, outcome)
        else:
            run.settle(sent.target, outcome)
            self._note(run, failure=outcome.reason)
            if outcome.whole_lane or guard.is_silent:
                self._throttle(run, sent.target, outcome)
        if guard.has_tripped and self._guards.get(run.provider) is guard:
            self._trip(run, outcome)

    def heed_closed_lanes(self) -> None:
        """Stop the runs whose lane somebody else has closed: another worker, or a person in the console."""
        if not self._runs:
            return
        closed = lanes.closed_among({(run.batch.application_pk, run.batch.push_service) for run in self._runs})
        for run in self._runs:
            if (run.batch.application_pk, run.batch.push_service) in closed:
                run.is_stopped = True

    def _note(self, run: BatchRun, *, accepted: bool = False, failure: str = "") -> None:
        now = time.monotonic()
        key = (run.provider, "accepted" if accepted else "failed")
        if now - self._noted.get(key, -60.0) >= _NOTE_EVERY_S:
            self._noted[key] = now
            lanes.note_answers(run.batch.application_pk, run.batch.push_service, accepted=accepted, failure=failure)

    def _reauthorize(self, sent: OnWire, outcome: PushOutcome) -> None:
        """Renew the access token once; requests that carried the old one are simply sent again."""
        run, provider = sent.run, sent.run.provider
        generation = self.authorization_of(provider)
        if sent.authorization == generation:
            if generation >= 1:
                self._pause(sent, outcome)
                return
            try:
                provider.authorize(refused=True)
            except (CredentialFault, ProviderUnavailable) as fault:
                self._stop_lane(run, str(fault), pause=isinstance(fault, CredentialFault))
            else:
                self._authorizations[provider] = generation + 1
                self._window.doubt(provider)
        run.unsent.appendleft(sent.target)

    def _pause(self, sent: OnWire, outcome: PushOutcome) -> None:
        """Stop the lane. The device has no outcome, so it stays pending with the rest of its batch."""
        run = sent.run
        run.unsent.appendleft(sent.target)
        if run.is_stopped:
            return  # by the first of many equal answers
        logger.warning("lane paused: %s %s", run.batch.push_service.label, outcome.reason)
        self._note(run, failure=outcome.reason)
        words = f"{run.batch.push_service.label} refused the credential: {outcome.reason}"
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

    def _trip(self, run: BatchRun, outcome: PushOutcome) -> None:
        del self._guards[run.provider]  # whoever opens the lane again begins a new count
        self._stop_lane(
            run,
            f"{run.guard.share:.0%} of the answers were {outcome.reason}: no device was deactivated. "
            "Check the environment (sandbox or production), the topic and the account.",
            pause=True,
        )

    def _stop_lane(self, run: BatchRun, reason: str, *, pause: bool) -> None:
        if pause:
            lanes.pause(run.batch.application_pk, run.batch.push_service, reason)
        else:
            lanes.throttle(run.batch.application_pk, run.batch.push_service, UNREACHABLE_WAIT_S)
        self._halt(run.provider)

    def _halt(self, provider: Provider) -> None:
        for run in self._runs:
            if run.provider is provider:
                run.is_stopped = True
