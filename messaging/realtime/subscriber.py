"""What a subscriber asks for over its socket: SUB_ON, SUB_OFF and MET_REQ, and what it is answered (contract.md 6).

Whoever may not subscribe is refused subscription by subscription; a refused socket would have the SDK connect again
every 400 ms, for ever.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError

from devices.channels import channel_name
from devices.conditions import InvalidCondition
from devices.errors import (
    ApiError,
    InvalidProperty,
    PermissionMissing,
    ServiceUnavailable,
    TooManyRequests,
    WrongApplicationInfo,
)
from messaging.realtime import packets
from messaging.realtime.access import Access, Credentials, Visitor
from messaging.realtime.calls import MAX_ID, Call, Caught, call_of, caught_in
from messaging.realtime.errors import InvalidSelector, UnknownRealtimeCall
from messaging.realtime.hub import Hub, Kind, Place, Subscription
from messaging.realtime.incoming import ROOM
from messaging.realtime.limits import CALL_COST, Limits
from messaging.realtime.pace import Pace
from messaging.realtime.packets import BadPacket, SocketPacket
from messaging.realtime.peer_events import Command, PeerMessage
from messaging.realtime.presence import Person, Presence
from messaging.realtime.selectors import predicate_of
from messaging.realtime.session import Session

MAX_SUBSCRIPTIONS = 500
MAX_SELECTORS = 50  #: each costs its evaluation with every message of the channel
MAX_COMMAND = 64 * 1024  #: bytes of a command's JSON
COMMANDS_A_SECOND, COMMANDS_AT_ONCE = 20, 50  #: each goes through the database to every process
_MAX_INBOX = 600  #: packets; MAX_SUBSCRIPTIONS and some, which is what a client sends when it comes back
_MAX_INBOX_BYTES = 256 * 1024
_TOO_LONG = f"A call takes {ROOM.kept:,} bytes, and all that are sent at once {ROOM.at_once:,}."
_UNREADABLE = "This is no JSON, or nested too deeply."
_BINARY = "Files and buffers cannot be sent; send text, such as Base64."
_TOO_MANY = "Too many calls at once."
_MAY_NOT = "You may not listen to this channel."


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What subscribers need of their process."""

    hub: Hub
    presence: Presence
    members: set[Subscriber]  #: who was admitted and is still there
    access: Access
    limits: Limits
    tell: Callable[[PeerMessage], Awaitable[None]]  #: raises OperationalError, InterfaceError
    run: Callable[[Coroutine[Any, Any, None]], None]  #: in the background


class Subscriber:
    """One SDK instance on one session."""

    def __init__(self, services: Services, session: Session, application_id: str) -> None:
        self._services = services
        self._session = session
        self._namespace = ""
        self.credentials = Credentials(
            application_id,
            session.query.get("apiKey", ""),
            _user_token(session.query.get("userToken")),
            session.address,
        )
        self._visitor: Visitor | None = None
        self._refusal: ApiError = PermissionMissing(_MAY_NOT)
        self._command_pace = Pace(a_second=COMMANDS_A_SECOND, at_once=COMMANDS_AT_ONCE)
        self._connection_id = secrets.token_hex(16).upper()
        self._subscriptions: dict[str, Subscription] = {}
        #: packets are taken one after another: a SUB_OFF must not overtake its SUB_ON
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._is_working = self._is_gone = False

    @property
    def has_wrong_key(self) -> bool:
        """Whether it will be refused whatever it asks."""
        return self._visitor is None and isinstance(self._refusal, WrongApplicationInfo)

    @property
    def held(self) -> int:
        """Bytes of calls that wait for their turn."""
        return self._inbox_bytes

    # The session calls these

    def receive(self, message: bytes) -> None:
        """Take a socket.io packet. Raises BadPacket."""
        try:
            packet = packets.decode_socket_packet(message)
        except BadPacket:
            if not self._refuse_call(caught_in(message), InvalidProperty(_UNREADABLE)):
                raise
        else:
            self._take(packet)

    def refuse_unread(self, start: bytes, end: bytes) -> None:
        """Answer one that was too long to keep. Who wrote what cannot be answered waits until it connects again."""
        self._services.limits.spend(self.credentials.address, CALL_COST)
        self._refuse_call(caught_in(start, end), InvalidProperty(_TOO_LONG))

    def _refuse_call(self, caught: Caught | None, error: ApiError) -> bool:
        """Whether it could be."""
        if caught is None or not self._namespace or caught.namespace.lower() not in ("", self._namespace.lower()):
            return False
        if self._visitor is None:
            error = self._refusal
        if caught.event == "SUB_ON":
            self._refuse(caught.id, error)
        else:
            self._refuse_method(caught.id, error)
        return True

    def _take(self, packet: SocketPacket) -> None:
        if packet.type == packets.CONNECT:
            self._connect(packet)
        elif packet.namespace != self._namespace:
            return  # the root namespace, which revision 3 joins unasked, has nothing to offer
        elif packet.type == packets.DISCONNECT:
            self.closed()
            self._session.leave()
        elif packet.type == packets.EVENT:
            self._take_event(packet.content)
        elif packet.type == packets.BINARY_EVENT:
            self._refuse_call(caught_in(packet.content), InvalidProperty(_BINARY))

    def _take_event(self, content: bytes) -> None:
        self._services.limits.spend(self.credentials.address, CALL_COST)
        fullness = max(len(self._inbox) / _MAX_INBOX, (self._inbox_bytes + len(content)) / _MAX_INBOX_BYTES)
        if fullness >= 1 and self._refuse_call(caught_in(content), TooManyRequests(_TOO_MANY)):
            return
        if fullness >= 2:
            raise BadPacket("too much at once")
        self._inbox.append(content)
        self._inbox_bytes += len(content)
        self._work_on(self._take_packets())

    def closed(self) -> None:
        """Give up every subscription."""
        self._is_gone = True
        self._inbox.clear()
        self._inbox_bytes = 0
        self._services.members.discard(self)
        for subscription in list(self._subscriptions.values()):
            self._drop(subscription)

    # Who it is

    def _connect(self, packet: SocketPacket) -> None:
        if packet.namespace == "/":
            return
        if self._namespace or not self._is_ours(packet):
            reason = {"message": "Invalid namespace"} if self._session.protocol >= 4 else "Invalid namespace"
            self._session.send(packets.socket_packet(packets.ERROR, packet.namespace, reason))
            return
        self._namespace = packet.namespace
        self._session.join()
        self._work_on(self._admit())

    def _is_ours(self, packet: SocketPacket) -> bool:
        """Whether its namespace is the application's. Every packet repeats it, and only revision 3 adds a query."""
        if len(packet.namespace) > 1 + MAX_ID or (packet.query and self._session.protocol >= 4):
            return False
        return packet.namespace.lower() == f"/{self.credentials.application_id}".lower()

    async def _admit(self) -> None:
        """Find out who this is before anything is answered."""
        await self._identify()
        if self._is_gone:
            return
        self._services.members.add(self)
        greeting = {"sid": self._connection_id} if self._session.protocol >= 4 else None
        self._session.send(packets.socket_packet(packets.CONNECT, self._namespace, greeting))
        await self._take_packets()

    async def _identify(self) -> None:
        try:
            caller = await self._services.access.caller(self.credentials)
            self._session.trust()
            self._visitor = await self._services.access.visitor(caller, self.credentials)
        except ApiError as error:
            self._visitor, self._refusal = None, error

    async def check_again(self) -> None:
        """Take back what is no longer allowed: tokens die, roles change."""
        await self._identify()
        for subscription in list(self._subscriptions.values()):
            try:
                await self._check_may_listen(subscription.place.channel_name)
            except ApiError as error:
                self._take_back(subscription, error)

    def refuse(self, error: ApiError) -> None:
        """Take back everything: the key no longer holds."""
        self._visitor, self._refusal = None, error
        for subscription in list(self._subscriptions.values()):
            self._take_back(subscription, error)

    def _take_back(self, subscription: Subscription, error: ApiError) -> None:
        if self._subscriptions.get(subscription.id) is subscription:
            self._drop(subscription)
            self._refuse(subscription.id, error)

    async def _check_may_listen(self, channel: str) -> None:
        """Raises what it is refused with."""
        if self._visitor is None:
            raise self._refusal
        if not await self._services.access.may_listen(self._visitor, channel, self.credentials.address):
            raise PermissionMissing(_MAY_NOT)

    @property
    def _person(self) -> Person:
        return Person(self._connection_id, None if self._visitor is None else self._visitor.user_id)

    # Calls

    def _work_on(self, work: Coroutine[Any, Any, None]) -> None:
        if self._is_working:
            work.close()  # whoever works now comes to it
            return
        self._is_working = True
        self._services.run(self._work(work))

    async def _work(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            with self._session.closing_on_bad_packets():
                await work
        finally:
            self._is_working = False

    async def _take_packets(self) -> None:
        while self._inbox and not self._is_gone:
            content = self._inbox.popleft()
            self._inbox_bytes -= len(content)
            try:
                name, call = call_of(content)
            except BadPacket:
                if not self._refuse_call(caught_in(content), InvalidProperty(_UNREADABLE)):
                    raise
                continue
            if name == "SUB_ON":
                await self._subscribe(call)
            elif name == "MET_REQ":
                await self._invoke(call)
            elif name == "SUB_OFF" and call.id in self._subscriptions:
                self._drop(self._subscriptions[call.id])

    def _send(self, name: str, argument: dict[str, object]) -> None:
        self._session.send(packets.event(self._namespace, name, argument))

    def _refuse(self, subscription_id: str, error: ApiError) -> None:
        refusal = {"code": error.code, "message": error.message}
        self._send("SUB_RES", {"id": subscription_id, "error": refusal})

    async def _subscribe(self, call: Call) -> None:
        try:
            subscription = await self._subscription(call)
        except ApiError as error:
            self._refuse(call.id, error)
            return
        if self._is_gone:
            return
        known = self._subscriptions.get(call.id)
        if known is not None:  # a client that connects again repeats itself
            self._drop(known)
        self._subscriptions[call.id] = subscription
        self._services.hub.add(subscription)
        self._services.limits.subscribed(self.credentials.address)
        self._send("SUB_READY", {"id": call.id})
        self._greet(subscription)

    def _greet(self, subscription: Subscription) -> None:
        """The first content of a subscription, where it has one."""
        if subscription.kind is Kind.CONNECT:
            self._services.presence.join(subscription.place, self._person)
            subscription.send(packets.subscription_tail(b'"connected"'))  # what the Swift SDK waits for
        elif subscription.kind is Kind.USERS:
            subscription.send(packets.subscription_tail(self._services.presence.listing(subscription.place)))

    async def _subscription(self, call: Call) -> Subscription:
        kind = _kind(call)  # first: what else the SDKs listen to names no channel
        place, options = await self._place(call), call.checked_options()
        selector = (options.selector or "").strip() if kind is Kind.MESSAGES else ""
        self._check_room(with_selector=bool(selector))
        _check_selector(selector)
        head = packets.subscription_head(self._namespace, call.id)
        return Subscription(call.id, kind, place, selector, self._session, head)

    async def _place(self, call: Call) -> Place:
        """The channel meant. Raises ApiError when this visitor may not listen to it."""
        if self._visitor is None:
            raise self._refusal
        channel = channel_name(call.checked_options().channel)
        await self._check_may_listen(channel)
        return Place(self._visitor.caller.application.pk, channel)

    def _check_room(self, *, with_selector: bool) -> None:
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooManyRequests(f"A connection takes {MAX_SUBSCRIPTIONS} subscriptions.")
        self._services.limits.check_subscriptions(self.credentials.address)
        if with_selector and sum(bool(known.selector) for known in self._subscriptions.values()) >= MAX_SELECTORS:
            raise TooManyRequests(f"A connection takes {MAX_SELECTORS} subscriptions with selectors.")

    def _drop(self, subscription: Subscription) -> None:
        self._services.hub.remove(subscription)
        self._services.limits.unsubscribed(self.credentials.address)
        del self._subscriptions[subscription.id]
        if subscription.kind is Kind.CONNECT and not self._is_connected_to(subscription.place):
            self._services.presence.leave(subscription.place, self._person)

    def _is_connected_to(self, place: Place) -> bool:
        return any(known.kind is Kind.CONNECT and known.place == place for known in self._subscriptions.values())

    async def _invoke(self, call: Call) -> None:
        try:
            await self._call_method(call)
        except ApiError as error:
            self._refuse_method(call.id, error)
        else:
            self._send("MET_RES", {"id": call.id, "result": None})

    def _refuse_method(self, call_id: str, error: ApiError) -> None:
        # the Swift SDK reads this code as text, that of SUB_RES as a number (contract.md 6)
        self._send("MET_RES", {"id": call_id, "error": {"code": str(error.code), "message": error.message}})

    async def _call_method(self, call: Call) -> None:
        if call.name == "PUB_SUB_COMMAND":
            await self._send_command(call)
        elif call.name == "SET_USER_TOKEN":
            await self._change_user(_user_token(call.checked_options().userToken))
        else:
            raise UnknownRealtimeCall(f"{call.name} is not supported.")

    async def _change_user(self, user_token: str) -> None:
        """Somebody logged in or out. Raises DeadUserToken (3064), UserDisabled (3090)."""
        self.credentials = replace(self.credentials, user_token=user_token)
        await self.check_again()
        for subscription in self._subscriptions.values():
            if subscription.kind is Kind.CONNECT:
                self._services.presence.join(subscription.place, self._person)
        if self._visitor is None:
            raise self._refusal

    async def _send_command(self, call: Call) -> None:
        if not self._command_pace.allows_one_more():
            raise TooManyRequests(f"A connection sends {COMMANDS_A_SECOND} commands a second.")
        place, options = await self._place(call), call.checked_options()
        person = self._person.wire()
        # flat for the Swift SDK, nested for Java and Flutter
        content = msgspec.json.encode({"type": options.type, "data": options.data, **person, "userInfo": person})
        if len(content) > MAX_COMMAND:
            raise InvalidProperty(f"A command takes {MAX_COMMAND} bytes of JSON.", field="data")
        try:
            await self._services.tell(Command(place.application_pk, place.channel_name, msgspec.Raw(content)))
        except (OperationalError, InterfaceError) as error:
            raise ServiceUnavailable() from error


def _kind(call: Call) -> Kind:
    """Raises UnknownRealtimeCall."""
    try:
        return Kind(call.name)
    except ValueError as error:
        raise UnknownRealtimeCall(f"{call.name} is not supported.") from error


def _user_token(sent: str | None) -> str:
    """SDKs send the word null when nobody is logged in."""
    return "" if sent in (None, "null", "undefined") else str(sent)


def _check_selector(selector: str) -> None:
    """Raises InvalidSelector, which names the place."""
    if selector:
        try:
            predicate_of(selector)
        except InvalidCondition as error:
            raise InvalidSelector(f"Invalid selector {error}.", field="selector") from error
