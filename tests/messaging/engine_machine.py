"""Random lives of campaigns: each rule is one thing that somebody does or that happens, in words to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django_q.models import OrmQ
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from devices.push_services import PushService
from devices.registration import expire_due
from messaging import control, fanout, lanes
from messaging.errors import CannotCancel, CannotControl, NothingToRetry
from messaging.models import Lane, Message, Occurrence, OccurrenceState
from messaging.publishing import cancel, edit
from tests.messaging.engine_books import Books, check_audience, check_ended, check_ledgers, check_requests
from tests.messaging.engine_model import Campaign
from tests.messaging.engine_stage import MINUTE, OSES, EngineStage, now_plus

AUDIENCES = st.sampled_from(["Android", "iOS and web", "everybody", "the gold plan", "five by name"])
BEHAVIOURS = st.sampled_from(["", "", "", "dead", "unknown", "500x1", "429-1x1", "slow-200", "resetx1"])
LIVES = {"no limit": None, "20 s": timedelta(seconds=20), "2 min": 2 * MINUTE}
REPEATS: dict[str, Callable[[], dict[str, Any]]] = {
    "once": lambda: {},
    "each minute": lambda: {"repeat_every": MINUTE},
    "each minute, twice": lambda: {"repeat_every": MINUTE, "repeat_expires_at": now_plus(timedelta(seconds=90))},
}
MODES = st.sampled_from(["ok", "429-1", "500", "reset", "hang", "goaway", *["takes 300 ms"] * 4])  # time to interfere
DOUBTS = st.sampled_from(["resend", "skip"])
SERVICES = st.sampled_from([service.value for service in PushService])
MOST_DRAINS = 2


class EngineMachine(RuleBasedStateMachine):
    """Drives the engine through its public functions; real drains send to the real simulators meanwhile.

    No rule has a precondition: what there is to do depends on how fast the drains are, and Hypothesis wants the same
    choice of rules wherever it repeats a beginning. A rule with nothing to do does nothing.
    """

    campaigns: Bundle[Campaign] = Bundle("campaigns")

    def __init__(self, engine: EngineStage) -> None:
        super().__init__()
        self.engine = engine
        self.world = engine.world

    # a life is worth watching when somebody is there and something is published

    @initialize(
        target=campaigns, to=AUDIENCES, in_doubt=DOUBTS, mode=MODES, behaviours=st.lists(BEHAVIOURS, max_size=3)
    )
    def begin(self, to: str, in_doubt: str, mode: str, behaviours: list[str]) -> Campaign:
        for os in OSES:
            self.engine.register(os, "gold", "", 8)
            self.engine.register(os, "free", "", 4)
            for behaviour in behaviours:
                self.engine.register(os, "gold", behaviour, 1)
        self.engine.set_mode("*", mode)
        return self.engine.publish(to, in_doubt=in_doubt)

    # devices

    @rule(
        os=st.sampled_from(OSES),
        plan=st.sampled_from(["gold", "free"]),
        behaviour=BEHAVIOURS,
        count=st.sampled_from([1, 3, 25]),
    )
    def register(self, os: Any, plan: str, behaviour: str, count: int) -> None:
        self.engine.register(os, plan, behaviour, count)

    @rule(which=st.integers(0, 99))
    def unregister(self, which: int) -> None:
        if phones := self.world.here():
            self.engine.unregister(phones[which % len(phones)])

    @rule(which=st.integers(0, 99), to=st.integers(0, 99))
    def token_moves(self, which: int, to: int) -> None:
        phones = self.world.here()
        if not phones:
            return
        giver = phones[which % len(phones)]
        takers = [phone for phone in self.world.phones if phone.os == giver.os and phone is not giver]
        if takers:
            self.engine.move_token(giver, takers[to % len(takers)])

    @rule(which=st.integers(0, 99), is_noticed=st.booleans())
    def registration_expires(self, which: int, is_noticed: bool) -> None:
        if phones := self.world.here():
            self.engine.expire(phones[which % len(phones)])
        if is_noticed:
            expire_due()

    # people

    @rule(
        target=campaigns,
        to=AUDIENCES,
        in_a_minute=st.booleans(),
        repeat=st.sampled_from(sorted(REPEATS)),
        life=st.sampled_from(sorted(LIVES)),
        in_doubt=DOUBTS,
    )
    def publish(self, to: str, in_a_minute: bool, repeat: str, life: str, in_doubt: str) -> Campaign:
        at = now_plus(MINUTE) if in_a_minute else None
        values = REPEATS[repeat]() if not in_a_minute else {}
        return self.engine.publish(to, in_doubt=in_doubt, publish_at=at, ttl=LIVES[life], **values)

    @rule(campaign=campaigns, to=AUDIENCES, in_a_minute=st.booleans())
    def edit(self, campaign: Campaign, to: str, in_a_minute: bool) -> None:
        message = Message.objects.get(pk=campaign.message_pk)
        text = f"{campaign.name}-version-{campaign.version + 1}."
        at = now_plus(MINUTE) if in_a_minute else None
        request, aim = self.engine.request(to, text, in_doubt=message.in_doubt, publish_at=at, ttl=message.ttl)
        had_begun = message.occurrences.exclude(state=OccurrenceState.SCHEDULED).exists()
        try:
            edit(message, request, publisher=self.engine.stage.publisher, seen_version=campaign.version)
        except CannotControl:
            assert had_begun, "a message that has not begun cannot be edited"
        else:
            assert not had_begun, "a message was edited after it had begun"
            campaign.version += 1
            self.world.aimed(campaign, aim)

    @rule(campaign=campaigns)
    def cancel(self, campaign: Campaign) -> None:
        try:
            cancel(Message.objects.get(pk=campaign.message_pk))
        except CannotCancel:
            note("it was over")
        else:
            campaign.is_cancelled = True

    @rule(campaign=campaigns, what=st.sampled_from(["pause", "pause", "resume", "stop"]), is_next=st.booleans())
    def steer(self, campaign: Campaign, what: str, is_next: bool) -> None:
        firings = Occurrence.objects.filter(message=campaign.message_pk, closed_at=None).order_by("n", "retry_no")
        occurrence = firings.last() if is_next else firings.first()
        if occurrence is None:
            return
        try:
            getattr(control, what)(occurrence)
        except CannotControl as error:
            note(str(error))

    @rule(campaign=campaigns, is_one_kind=st.booleans())
    def retry_failed(self, campaign: Campaign, is_one_kind: bool) -> None:
        last = Occurrence.objects.filter(message=campaign.message_pk, closed_at__isnull=False).last()
        if last is None:
            return
        failed = [row for row in Books.read().deliveries[last.pk] if row.outcome in control.RETRYABLE]
        kinds = []
        if is_one_kind and failed:
            kind = (failed[0].push_service, failed[0].outcome, failed[0].reason)
            failed = [row for row in failed if (row.push_service, row.outcome, row.reason) == kind]
            kinds = [control.FailureKind(push_service=PushService(kind[0]), outcome=kind[1], reason=kind[2])]  # type: ignore[arg-type]
        try:
            again = control.retry_failed(last, kinds)
        except NothingToRetry:
            assert not failed
        else:
            campaign.retries[again.pk] = frozenset(row.registration_id for row in failed)

    @rule(service=SERVICES, is_paused=st.booleans())
    def lane(self, service: str, is_paused: bool) -> None:
        application = self.engine.stage.application
        if is_paused:
            lanes.pause(application.pk, PushService(service), "by hand")
        else:
            for lane in Lane.objects.filter(application=application, push_service=service):
                lanes.resume(lane)

    # processes

    @rule()
    def ticker_ticks(self) -> None:
        self.engine.tick()

    @rule()
    def page_is_planned(self) -> None:
        fanout.plan_next_page()

    @rule()
    def worker_takes_a_job(self) -> None:
        if len(self.engine.drains.running) < MOST_DRAINS:
            self.engine.tick()
            self.engine.take_bell()

    @rule(requests=st.sampled_from([1, 5, 20]))
    def drains_go_on(self, requests: int) -> None:
        if self.engine.drains.running:
            self.engine.wait_for_requests(requests)

    @rule()
    def drains_end(self) -> None:
        if self.engine.drains.running:
            self.engine.end_hang()
            self.engine.drains.wait()

    # faults

    @rule(after_requests=st.sampled_from([0, 1, 5, 20]))
    def worker_is_killed(self, after_requests: int) -> None:
        if not self.engine.drains.running:
            self.worker_takes_a_job()
        if after_requests:
            self.engine.wait_for_requests(after_requests)
        self.world.deaths += self.engine.drains.kill()

    @rule()
    def database_connections_are_cut(self) -> None:
        self.engine.cut_database()

    @rule()
    def push_services_restart(self) -> None:
        self.engine.cut_providers()

    @rule(service=SERVICES, mode=MODES)
    def push_service(self, service: str, mode: str) -> None:
        self.engine.set_mode(service, mode)

    @rule()
    def queue_is_emptied(self) -> None:
        OrmQ.objects.all().delete()

    @rule(seconds=st.sampled_from([5, 31, 61, 900]))
    def time_passes(self, seconds: int) -> None:
        self.engine.pass_time(timedelta(seconds=seconds))

    # what must hold

    @invariant()
    def the_books_are_true(self) -> None:
        log = self.engine.requests()
        books = Books.read()
        check_ledgers(books)
        check_audience(books, self.world)
        check_requests(books, self.world, log, late=self.engine.requests())

    def teardown(self) -> None:
        """Let everything end, unless a step has failed, and judge the end."""
        try:
            if sys.exc_info()[0] is None:
                self._end()
        finally:
            self.engine.clean_up()

    def _end(self) -> None:
        self.engine.recover()
        self.the_books_are_true()
        for campaign in self.world.campaigns.values():
            message = Message.objects.get(pk=campaign.message_pk)
            if message.repeat_every is not None and message.repeat_expires_at is None:
                self.cancel(campaign)
        self.engine.run_out()
        self.the_books_are_true()
        check_ended(Books.read(), self.world)
