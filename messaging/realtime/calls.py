"""A call as it comes: SUB_ON, SUB_OFF or MET_REQ, and what can be told of one that cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from devices.errors import InvalidProperty
from messaging.realtime.incoming import ENDS
from messaging.realtime.packets import BadPacket

MAX_ID = 64  #: of a call, and of an application, whose UUID may be written at any length
_EVENT = rb'(?:[25](?:\d+-)?(?P<namespace>/[^,?]{0,64}),\d*)?\[\s*"(?P<event>SUB_ON|MET_REQ)"\s*,\s*\{\s*'
_ID = rb'"id"\s*:\s*"(?P<id>[\w-]{1,64})"'
_NAME = rb'"name"\s*:\s*"\w*"'
#: JavaScript writes the id first; Swift, Java and Dart write it anywhere, behind long options too
_AT_START = re.compile(_EVENT + rb"(?:" + _NAME + rb"\s*,\s*)?" + _ID)
_EVENT_AT_START = re.compile(_EVENT)
_AT_END = re.compile(_ID + rb"(?:\s*,\s*" + _NAME + rb")?\s*\}\s*\]\Z")


class Options(msgspec.Struct):
    """What comes with a SUB_ON or MET_REQ."""

    channel: str = ""
    selector: str | None = None
    type: str = ""
    data: object = None
    userToken: str | None = None  # noqa: N815  # the wire's word


class Call(msgspec.Struct):
    """The argument of SUB_ON, SUB_OFF and MET_REQ. Only the id must be right: whatever else is wrong is answered."""

    id: str
    name: object = ""
    options: object = None

    def checked_options(self) -> Options:
        """Raises InvalidProperty."""
        try:
            return msgspec.convert({} if self.options is None else self.options, Options)
        except msgspec.ValidationError as error:
            raise InvalidProperty(f"options: {error}.", field="options") from error


def call_of(content: bytes) -> tuple[str, Call]:
    """`["SUB_ON", {"id", "name", "options"}]`. Raises BadPacket."""
    try:
        name, argument, *_ = msgspec.json.decode(content, type=list[msgspec.Raw])
        event, call = msgspec.json.decode(name, type=str), msgspec.json.decode(argument, type=Call)
    except (ValueError, RecursionError) as error:
        raise BadPacket("no call") from error
    if len(call.id) > MAX_ID:
        raise BadPacket("the id is too long")
    return event, call


@dataclass(frozen=True, slots=True)
class Caught:
    """Whom to answer."""

    namespace: str  #: "" where only the content was given
    event: str  #: SUB_ON or MET_REQ
    id: str


def caught_in(start: bytes, end: bytes = b"") -> Caught | None:
    """What the two ends of a packet, or of its content, tell of the call in it."""
    first = _AT_START.match(start) or _EVENT_AT_START.match(start)
    if first is None:
        return None
    last = first if "id" in first.re.groupindex else _AT_END.search((end or start)[-ENDS:])
    if last is None:
        return None
    return Caught((first["namespace"] or b"").decode(errors="replace"), first["event"].decode(), last["id"].decode())
