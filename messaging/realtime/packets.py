"""Engine.IO 3 and 4 framing and socket.io packets, as bytes; pure. Only text packets: the SDKs send no others.

Sources: github.com/socketio/engine.io-protocol (revisions 3 and 4), socket.io-protocol (revisions 4 and 5),
and the recorded exchange of the SDKs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

# Engine.IO packet types
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
#: what a file or buffer inside a call is sent as, behind the call
BINARY = b"b"
# socket.io packet types, inside an Engine.IO message
CONNECT, DISCONNECT, EVENT, ACK, ERROR, BINARY_EVENT = "0", "1", "2", "3", "4", "5"

SEPARATOR = b"\x1e"  #: of the packets of a POST in revision 4
_DIGITS = frozenset("0123456789")


class BadPacket(ValueError):
    """The peer does not speak the protocol."""


def encode_payload(packets: Iterable[bytes], protocol: int) -> bytes:
    """Several packets as the body of one long-polling answer."""
    if protocol >= 4:
        return SEPARATOR.join(packets)
    return b"".join(b"%d:%s" % (_utf16_length(packet), packet) for packet in packets)


def _utf16_length(packet: bytes) -> int:
    """Revision 3 counts as JavaScript does: in UTF-16 units."""
    return len(packet) if packet.isascii() else len(packet.decode().encode("utf-16-le")) // 2


@dataclass(frozen=True, slots=True)
class SocketPacket:
    """One socket.io packet."""

    type: str
    namespace: str = "/"  #: without its query
    query: str = ""  #: revision 4 (Engine.IO 3) puts one behind the namespace
    content: bytes = b""  #: JSON, not decoded before its turn: objects take up to fifty times its room


def decode_socket_packet(text: bytes) -> SocketPacket:
    """`2/<namespace>?<query>,<ack id><JSON>` behind the Engine.IO type. Raises BadPacket."""
    try:
        packet = text.decode()
    except UnicodeDecodeError as error:
        raise BadPacket("not UTF-8") from error
    if not packet or packet[0] not in "012345":
        raise BadPacket("unknown type")
    type_, namespace, rest = packet[0], "/", packet[1:]
    if type_ == BINARY_EVENT:
        attachments, _, rest = rest.partition("-")
        if not _DIGITS.issuperset(attachments):
            raise BadPacket("no number of attachments")
    if rest.startswith("/"):
        namespace, _, rest = rest.partition(",")
    namespace, _, query = namespace.partition("?")
    return SocketPacket(type_, namespace, query, _json(rest.lstrip("0123456789")))


def _json(text: str) -> bytes:
    """What was given, once it is known to be JSON."""
    if not text:
        return b""
    try:
        return bytes(msgspec.json.decode(text, type=msgspec.Raw))
    except msgspec.DecodeError:
        return _mended(text)
    except RecursionError as error:
        raise BadPacket("not JSON") from error


def _mended(text: str) -> bytes:
    """JSON whose half surrogate pairs are U+FFFD; scripts write them where they cut a text inside an emoji.

    A session that ended for one would have the SDK connect and send it again, up to 60 times a second, for ever.
    """
    try:
        written = json.dumps(json.loads(text), ensure_ascii=False)
        whole = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return bytes(msgspec.json.decode(whole, type=msgspec.Raw))
    except (ValueError, RecursionError) as error:
        raise BadPacket("not JSON") from error


def socket_packet(type_: str, namespace: str, content: object = None) -> bytes:
    """An Engine.IO message holding one socket.io packet; without `content` when that is None."""
    body = b"" if content is None else msgspec.json.encode(content)
    return MESSAGE + type_.encode() + namespace.encode() + b"," + body


def event(namespace: str, name: str, argument: object) -> bytes:
    """An event with one argument."""
    return socket_packet(EVENT, namespace, [name, argument])


def subscription_head(namespace: str, subscription_id: str) -> bytes:
    """What a SUB_RES packet begins with; `subscription_tail` completes it. Made once per subscription."""
    return event(namespace, "SUB_RES", {"id": subscription_id})[: -len("}]")] + b',"data":'


def subscription_tail(content: bytes) -> bytes:
    """What every SUB_RES packet with this JSON ends in. Made once per message."""
    return content + b"}]"
