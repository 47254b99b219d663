"""What people, devices, push services and faults do to the engine in the property test, told to its `World` as well."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Min
from django.db.models.functions import Now, TruncDay
from django_q.models import OrmQ

from devices import registration
from devices.errors import UnknownDeviceToCancel
from devices.models import DeviceRegistration
from devices.push_services import NATIVE_PUSH_SERVICE, Os, OsMask
from devices.registration import DeviceFacts, RegistrationRequest
from messaging import database
from messaging.models import Batch, Delivery, InDoubtPolicy, Lane, LaneState, Message, Occurrence, OccurrenceState
from messaging.publishing import PublishRequest, publish
from messaging.ticker import Ticker
from tests.messaging.drain_nursery import DrainNursery
from tests.messaging.engine_model import Aim, Campaign, Phone, World
from tests.messaging.stage import HEADERS, Stage, bring_forward, witness

MINUTE = timedelta(minutes=1)
OSES = (Os.ANDROID, Os.IOS, Os.WP, Os.WEB)
_LEASE = timedelta(seconds=30)
_numbers = itertools.count(1_000_000)


@dataclass(slots=True)
class Drains:
    """Drains that run in processes of their own."""

    nursery: DrainNursery
    running: list[int] = field(default_factory=list)
    may_fail: bool = False  #: their connections were cut

    def start(self) -> None:
        """One more."""
        self.running.append(self.nursery.start())

    def ended(self) -> bool:
        """Whether none is running any more."""
        return all(self.nursery.has_ended(pid) for pid in self.running)

    def kill(self) -> bool:
        """End the oldest with -9; whether there was one, and still at work."""
        if not self.running:
            return False
        pid = self.running.pop(0)
        was_running = not self.nursery.has_ended(pid)
        self.nursery.kill(pid)
        return was_running

    def kill_all(self) -> None:
        """End every one, at the end of an example."""
        while self.running:
            self.kill()

    def wait(self) -> None:
        """Until every one has done what there was to do."""
        while self.running:
            code = self.nursery.wait(self.running.pop(0))
            assert code == 0 or self.may_fail, "a drain failed; its traceback stands above"
        self.may_fail = False


@dataclass(slots=True)
class EngineStage:
    """One application and its world."""

    stage: Stage
    drains: Drains
    world: World = field(default_factory=World)
    is_hanging: bool = False

    # devices

    def register(self, os: Os, plan: str, behaviour: str, count: int) -> None:
        """New phones."""
        for _ in range(count):
            number = next(_numbers)
            token = self.stage.simulators.token(NATIVE_PUSH_SERVICE[os].value, number, behaviour)
            self._store(f"phone-{number}", os, token, plan, behaviour)

    def move_token(self, giver: Phone, taker: Phone) -> None:
        """The app was installed anew: another device id registers with the token."""
        self.world.left(giver)
        self.world.left(taker)  # not for long, but nothing that is being sent must reach it
        self._store(taker.device_id, taker.os, giver.token, taker.plan, giver.behaviour)

    def _store(self, device_id: str, os: Os, token: str, plan: str, behaviour: str) -> None:
        request = RegistrationRequest(device_id=device_id, token=token, os=os, push_service=NATIVE_PUSH_SERVICE[os])
        stored = registration.register(self.stage.application, request, DeviceFacts(attributes={"plan": plan}))
        pk = DeviceRegistration.objects.get(registration_id=stored.registration_id).pk
        known = next((phone for phone in self.world.phones if phone.pk == pk), None)
        phone = known or Phone(pk=pk, device_id=device_id, os=os, token=token, plan=plan, behaviour=behaviour)
        phone.token, phone.behaviour = token, behaviour
        self.world.joined(phone)

    def unregister(self, phone: Phone) -> None:
        """The app says goodbye; a token found dead meanwhile has nothing to say goodbye to."""
        with contextlib.suppress(UnknownDeviceToCancel):
            registration.unregister(self.stage.application, phone.device_id)
        self.world.left(phone)

    def expire(self, phone: Phone) -> None:
        """Its registration's time is over."""
        DeviceRegistration.objects.filter(pk=phone.pk).update(expiration=Now() - timedelta(seconds=1))
        self.world.left(phone)

    # messages

    def request(self, audience: str, text: str, **values: Any) -> tuple[PublishRequest, Aim]:
        """A message to one of the audiences, and whom that means."""
        oses, named, plan = frozenset(OSES), None, ""
        if audience == "Android":
            oses = frozenset({Os.ANDROID})
        elif audience == "iOS and web":
            oses = frozenset({Os.IOS, Os.WEB})
        elif audience == "the gold plan":
            plan, values["segment_query"] = "gold", "plan = 'gold'"
        elif audience == "five by name":
            named = frozenset(phone.device_id for phone in self.world.phones[-5:]) | {"nobody"}
            values["push_singlecast"] = tuple(sorted(named))
        else:
            values["push_broadcast"] = OsMask.ALL
        headers = {HEADERS[str(os)]: text for os in OSES if os in oses}
        request = PublishRequest(channel_name="default", body=text, headers=headers, **values)
        return request, Aim(oses=oses, named=named, plan=plan)

    def publish(self, audience: str, *, in_doubt: str, **values: Any) -> Campaign:
        """A new message."""
        name = f"message-{next(_numbers)}"
        request, aim = self.request(audience, f"{name}-version-1.", in_doubt=InDoubtPolicy(in_doubt), **values)
        message = publish(application=self.stage.application, request=request, publisher=self.stage.publisher)
        campaign = Campaign(message_pk=message.pk, name=name, aim=aim, may_resend=in_doubt == "resend")
        self.world.campaigns[message.pk] = campaign
        self.world.aimed(campaign, aim)
        return campaign

    # time, push services, faults

    def tick(self) -> None:
        """What a ticker does four times a second."""
        Ticker().tick()

    def take_bell(self) -> bool:
        """A free worker takes a job; whether there was one."""
        job = OrmQ.objects.order_by("pk").first()
        if job is None:
            return False
        job.delete()
        self.drains.start()
        return True

    def pass_time(self, by: timedelta) -> None:
        """As if that much time had passed: everything with a time lies further back.

        At most to the midnight before, since the day of a firing decides where its outcomes are stored.
        """
        earliest = Occurrence.objects.annotate(room=F("due_at") - TruncDay("due_at")).aggregate(least=Min("room"))
        by = min(by, earliest["least"] or by)
        if by >= _LEASE:
            self.world.overtaken += len(self.drains.running)  # who is thought dead is overtaken
        Occurrence.objects.update(due_at=F("due_at") - by)
        Message.objects.update(repeat_expires_at=F("repeat_expires_at") - by)
        Batch.objects.update(due_at=F("due_at") - by, lease_until=F("lease_until") - by)
        Lane.objects.update(throttled_until=F("throttled_until") - by)
        witness()

    def set_mode(self, service: str, mode: str) -> None:
        """A push service falls ill or gets well."""
        self.end_hang()
        self.is_hanging = mode == "hang"
        if mode == "goaway":
            self.stage.simulators.set_mode(service, goaway_every=7)
        elif mode == "takes 300 ms":
            self.stage.simulators.set_mode(service, latency_ms=300)
        else:
            self.stage.simulators.set_mode(service, mode, every=2 if mode == "429-1" else 1)

    def end_hang(self) -> None:
        """Cut the connections on which nothing is answered: their requests are in doubt."""
        if self.is_hanging:
            self.cut_providers()

    def cut_providers(self) -> None:
        """The push services restart; they are well after that."""
        self.stage.simulators.set_mode("*", certificate="expired")
        self.stage.simulators.set_mode("*")
        self.is_hanging = False

    def cut_database(self) -> None:
        """Every connection of others to the database is lost; which costs neither a device nor a duplicate."""
        self.drains.may_fail = bool(self.drains.running)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def requests(self) -> list[dict[str, Any]]:
        """The simulators' log."""
        return self.stage.simulators.requests()

    def wait_for_requests(self, more: int) -> None:
        """Until so many more requests arrived, or no drain is left that could make them; half a second at most."""
        enough = len(self.requests()) + more
        self._wait(lambda: len(self.requests()) >= enough or self.drains.ended())

    def _wait(self, is_true: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + 0.5
        while not is_true() and time.monotonic() < give_up_at:
            time.sleep(0.01)

    # the end

    def recover(self) -> None:
        """Everything is well again, everybody lets things run."""
        self.cut_providers()
        self.drains.wait()
        Lane.objects.update(state=LaneState.OPEN, throttled_until=None, paused_because="")
        Occurrence.objects.exclude(state=OccurrenceState.CANCELLED).update(paused_at=None)

    def run_out(self, rounds: int = 40) -> None:
        """Tickers and workers work, as long as anything is open: a minute a round."""
        for _ in range(rounds):
            self.tick()
            if not Occurrence.objects.filter(closed_at=None).exists():
                return
            while self.take_bell():
                self.drains.wait()
            self.pass_time(MINUTE)
            bring_forward()

    def clean_up(self) -> None:
        """Leave nothing that the drains of the next example could find."""
        self.drains.kill_all()
        for rows in (Delivery, Batch, Occurrence):
            rows.objects.all()._raw_delete(connection.alias)
        Message.objects.all().delete()
        Lane.objects.all().delete()
        OrmQ.objects.all().delete()
        self.stage.simulators.reset()


def now_plus(delta: timedelta) -> datetime:
    """A moment by the database's clock."""
    return database.now() + delta
