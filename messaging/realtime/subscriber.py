"""What a subscriber asks for over its socket: SUB_ON, SUB_OFF and MET_REQ, and what it is answered (contract.md 6).

Whoever may not subscribe is refused subscription by subscription; a refused socket would have the SDK connect again
every 400 ms, for ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError

from devices.api_keys import Caller
from devices.channels import channel_name
from devices.conditions import InvalidCondition
from devices.errors import ApiError, InvalidProperty, PermissionMissing, ServiceUnavailable, TooManyRequests
from messaging.realtime import packets
from messaging.realtime.engine import Session
from messaging.realtime.errors import InvalidSelector, UnknownRealtimeCall
from messaging.realtime.hub import Hub, Kind, Place, Subscription
from messaging.realtime.packets import BadPacket, SocketPacket
from messaging.realtime.peer_events import Command, PeerMessage
from messaging.realtime.presence import Person, Presence
from messaging.realtime.selectors import predicate_of

MAX_SUBSCRIPTIONS = 500
MAX_SELECTORS = 50  #: each costs its evaluation with every message of the channel
MAX_COMMAND = 64 * 1024  #: bytes of a command's JSON
_MAX_EARLY = 200
_MAX_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What subscribers need of their process."""

    hub: Hub
    presence: Presence
    members: set[Subscriber]  #: who was admitted and is still there
    authenticate: Callable[[str, str], Awaitable[Caller]]  #: raises ApiError; waits while the database is away
    tell: Callable[[PeerMessage], Awaitable[None]]  #: raises OperationalError, InterfaceError
    run: Callable[[Coroutine[Any, Any, None]], None]  #: in the background


class Options(msgspec.Struct):
    """What comes with a SUB_ON or MET_REQ."""

    channel: str = ""
    selector: str | None = None
    type: str = ""
    data: object = None
    userToken: str | None = None  # noqa: N815  # the wire's word


class Call(msgspec.Struct):
    """The argument of SUB_ON, SUB_OFF and MET_REQ."""

    id: str
    name: str = ""
    options: Options | None = None


class Subscriber:
    """One SDK instance on one session."""

    def __init__(self, services: Services, session: Session, application_id: str) -> None:
        self._services = services
        self._session = session
        self._application_id = application_id
        self._namespace = ""
        self._caller: Caller | None = None
        self._refusal: ApiError = PermissionMissing("This API key may not subscribe.")
        self._is_admitted = self._is_gone = False
        self._early: list[SocketPacket] = []
        self._connection_id = secrets.token_hex(16).upper()
        self._user_id: str | None = None
        self._subscriptions: dict[str, Subscription] = {}

    @property
    def key(self) -> tuple[str, str]:
        """Application id and API key, as the client gave them."""
        return self._application_id, self._session.query.get("apiKey", "")

    def refuse(self, error: ApiError) -> None:
        """Take back what was granted: the key no longer holds."""
        self._caller, self._refusal = None, error
        for subscription in list(self._subscriptions.values()):
            self._drop(subscription)
            self._refuse(subscription.id, error)

    # The session calls these

    def receive(self, message: bytes) -> None:
        """Take a socket.io packet. Raises BadPacket."""
        packet = packets.decode_socket_packet(message)
        if packet.type == packets.CONNECT:
            self._connect(packet)
        elif packet.namespace != self._namespace:
            return  # the root namespace, which revision 3 joins unasked, has nothing to offer
        elif packet.type == packets.DISCONNECT:
            self.closed()
        elif packet.type == packets.EVENT:
            if self._is_admitted:
                self._take(packet)
            elif len(self._early) < _MAX_EARLY:
                self._early.append(packet)

    def closed(self) -> None:
        """Give up every subscription."""
        self._services.members.discard(self)
        self._is_gone = True
        for subscription in list(self._subscriptions.values()):
            self._drop(subscription)

    def _connect(self, packet: SocketPacket) -> None:
        if packet.namespace == "/":
            return
        if packet.namespace.strip("/").lower() != self._application_id.lower() or self._namespace:
            reason = {"message": "Invalid namespace"} if self._session.protocol >= 4 else "Invalid namespace"
            self._session.send(packets.socket_packet(packets.ERROR, packet.namespace, reason))
            return
        self._namespace = packet.namespace
        self._services.run(self._admit())

    async def _admit(self) -> None:
        """Find out who this is before anything is answered: then no SUB_ON has to wait."""
        try:
            caller = await self._services.authenticate(*self.key)
        except ApiError as error:
            self._refusal = error
        else:
            self._caller = caller if caller.api_key.may_subscribe else None
        if self._is_gone:
            return
        self._is_admitted = True
        self._services.members.add(self)
        greeting = {"sid": self._connection_id} if self._session.protocol >= 4 else None
        self._session.send(packets.socket_packet(packets.CONNECT, self._namespace, greeting))
        early, self._early = self._early, []
        with self._session.closing_on_bad_packets():
            for packet in early:
                self._take(packet)

    # Calls

    def _take(self, packet: SocketPacket) -> None:
        name, call = _call(packet.content)
        if name == "SUB_ON":
            self._subscribe(call)
        elif name == "SUB_OFF":
            subscription = self._subscriptions.get(call.id)
            if subscription is not None:
                self._drop(subscription)
        elif name == "MET_REQ":
            self._services.run(self._invoke(call))

    def _send(self, name: str, argument: dict[str, object]) -> None:
        self._session.send(packets.event(self._namespace, name, argument))

    def _refuse(self, subscription_id: str, error: ApiError) -> None:
        refusal = {"code": error.code, "message": error.message}
        self._send("SUB_RES", {"id": subscription_id, "error": refusal})

    def _subscribe(self, call: Call) -> None:
        try:
            subscription = self._subscription(call)
        except ApiError as error:
            self._refuse(call.id, error)
            return
        known = self._subscriptions.get(call.id)
        if known is not None:  # a client that connects again repeats itself
            self._drop(known)
        self._subscriptions[call.id] = subscription
        self._services.hub.add(subscription)
        self._send("SUB_READY", {"id": call.id})
        self._greet(subscription)

    def _greet(self, subscription: Subscription) -> None:
        """The first content of a subscription, where it has one."""
        if subscription.kind is Kind.CONNECT:
            self._services.presence.join(subscription.place, self._person)
            subscription.send(packets.subscription_tail(b'"connected"'))  # what the Swift SDK waits for
        elif subscription.kind is Kind.USERS:
            subscription.send(packets.subscription_tail(self._services.presence.listing(subscription.place)))

    def _subscription(self, call: Call) -> Subscription:
        place, options = self._place(call), call.options or Options()
        try:
            kind = Kind(call.name)
        except ValueError as error:
            raise UnknownRealtimeCall(f"{call.name} is not supported.") from error
        selector = (options.selector or "").strip() if kind is Kind.MESSAGES else ""
        self._check_room(with_selector=bool(selector))
        _check_selector(selector)
        head = packets.subscription_head(self._namespace, call.id)
        return Subscription(call.id, kind, place, selector, self._session, head)

    def _place(self, call: Call) -> Place:
        """The channel meant. Raises ApiError when this key may not subscribe to it."""
        if self._caller is None:
            raise self._refusal
        options = call.options or Options()
        return Place(self._caller.application.pk, channel_name(options.channel))

    def _check_room(self, *, with_selector: bool) -> None:
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooManyRequests(f"A connection takes {MAX_SUBSCRIPTIONS} subscriptions.")
        if with_selector and sum(bool(known.selector) for known in self._subscriptions.values()) >= MAX_SELECTORS:
            raise TooManyRequests(f"A connection takes {MAX_SELECTORS} subscriptions with selectors.")

    def _drop(self, subscription: Subscription) -> None:
        self._services.hub.remove(subscription)
        del self._subscriptions[subscription.id]
        if subscription.kind is Kind.CONNECT and not self._is_connected_to(subscription.place):
            self._services.presence.leave(subscription.place, self._person)

    @property
    def _person(self) -> Person:
        return Person(self._connection_id, self._user_id)

    def _is_connected_to(self, place: Place) -> bool:
        return any(known.kind is Kind.CONNECT and known.place == place for known in self._subscriptions.values())

    async def _invoke(self, call: Call) -> None:
        try:
            await self._call_method(call)
        except ApiError as error:
            # the Swift SDK reads this code as text, that of SUB_RES as a number (contract.md 6)
            self._send("MET_RES", {"id": call.id, "error": {"code": str(error.code), "message": error.message}})
        else:
            self._send("MET_RES", {"id": call.id, "result": None})

    async def _call_method(self, call: Call) -> None:
        if call.name == "PUB_SUB_COMMAND":
            await self._send_command(call)
        elif call.name != "SET_USER_TOKEN":
            raise UnknownRealtimeCall(f"{call.name} is not supported.")

    async def _send_command(self, call: Call) -> None:
        place, options = self._place(call), call.options or Options()
        person = self._person.wire()
        # flat for the Swift SDK, nested for Java and Flutter
        content = msgspec.json.encode({"type": options.type, "data": options.data, **person, "userInfo": person})
        if len(content) > MAX_COMMAND:
            raise InvalidProperty(f"A command takes {MAX_COMMAND} bytes of JSON.", field="data")
        try:
            await self._services.tell(Command(place.application_pk, place.channel_name, msgspec.Raw(content)))
        except (OperationalError, InterfaceError) as error:
            raise ServiceUnavailable() from error


def _call(content: object) -> tuple[str, Call]:
    """`["SUB_ON", {"id", "name", "options"}]`. Raises BadPacket."""
    if not (isinstance(content, list) and len(content) >= 2 and isinstance(content[0], str)):
        raise BadPacket("no event with one argument")
    try:
        call = msgspec.convert(content[1], Call)
    except msgspec.ValidationError as error:
        raise BadPacket("not a call") from error
    if len(call.id) > _MAX_ID:
        raise BadPacket("the id is too long")
    return content[0], call


def _check_selector(selector: str) -> None:
    """Raises InvalidSelector, which names the place."""
    if selector:
        try:
            predicate_of(selector)
        except InvalidCondition as error:
            raise InvalidSelector(f"Invalid selector {error}.", field="selector") from error
