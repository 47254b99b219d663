"""Messages as they arrive: kept whole up to a bound, and of what is longer the two ends, by which it can be refused.

Who sends too much once must hear so. SDKs connect again and send again what was not answered: one message that ended
its session would come back thirty times a second, for ever.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from devices.errors import BodyTooLarge
from messaging.realtime.packets import BINARY, SEPARATOR, BadPacket

KIB = 1024
#: bytes kept of each end of what is too long: its event and its id stand at one of them
ENDS = 512
_LONGEST_NUMBER = 12
#: of packets that are marked
_BYTES, _END_OF_NUMBER = 1, 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a client may send."""

    kept: int  #: bytes of one message; of a longer one the ends
    at_once: int  #: bytes kept of one POST
    read: int  #: bytes of one message or POST, kept or not; what is longer still ends its connection
    packets: int  #: of one POST

    @property
    def is_strict(self) -> bool:
        """Whether what is too long ends the connection."""
        return self.read <= self.kept


#: nobody knows yet who that is
ROOM_OF_ARRIVING = Room(kept=8 * KIB, at_once=8 * KIB, read=8 * KIB, packets=1_000)
#: joined its application without a right key: each of its calls is refused
ROOM_OF_STRANGERS = Room(kept=8 * KIB, at_once=8 * KIB, read=100_000, packets=1_000)
#: an SDK 7 that comes back sends all its calls by one POST, some 250 bytes each
ROOM = Room(kept=100_000, at_once=1024 * KIB, read=16 * 1024 * KIB, packets=5_000)


class Incoming:
    """One message."""

    def __init__(self, kept: int) -> None:
        self._most = kept
        self._kept = bytearray()
        self._end = b""
        self.length = 0  #: bytes so far
        self.is_cut = False  #: longer than what is kept

    def add(self, piece: bytes) -> None:
        """Take what comes next."""
        self.length += len(piece)
        if self.is_cut:
            self._end = (self._end + piece[-ENDS:])[-ENDS:]
            return
        self._kept += piece
        if self.length > self._most:
            self.is_cut = True
            self._end = bytes(self._kept[-ENDS:])
            self._kept = self._kept[:ENDS]

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._kept) + len(self._end)

    @property
    def start(self) -> bytes:
        """The whole, unless it was cut."""
        return bytes(self._kept)

    @property
    def end(self) -> bytes:
        """The last bytes of one that was cut."""
        return self._end


class Body:
    """The packets of one POST, whatever its length; revision 3 counts as JavaScript does, in UTF-16 units."""

    def __init__(self, protocol: int, room: Room) -> None:
        self._room = room
        self._is_counted = protocol < 4
        self._is_marked = False
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._number = ""
        self._missing = 0  #: UTF-16 units of the packet that is arriving, bytes where it is marked
        self._whole: list[Incoming] = []
        self._current = Incoming(min(room.kept, room.at_once))
        self._fault: BadPacket | None = None
        self._length = self._kept = 0

    def add(self, piece: bytes) -> None:
        """Take what comes next. Raises BodyTooLarge (5903)."""
        self._length += len(piece)
        if self._length > self._room.read:
            raise BodyTooLarge()
        if self._fault is not None:
            return
        try:
            if self._is_counted and self._length == len(piece):
                self._is_marked = piece[:1] in (b"\0", b"\1")
            if self._is_marked:
                self._split_by_marks(piece)
            elif self._is_counted:
                self._split_by_lengths(piece)
            else:
                self._split_at_separators(piece)
        except BadPacket as fault:
            self._fault = fault

    def packets(self) -> list[Incoming]:
        """All of them, now that it is complete. Raises BadPacket."""
        if self._is_counted:
            if self._number or self._missing or self._text.getstate()[0]:
                self._fault = self._fault or BadPacket("shorter than its length")
        elif self._fault is None:
            self._complete()
        if self._fault is not None:
            raise self._fault
        return self._whole

    @property
    def held(self) -> int:
        """Bytes kept."""
        return self._kept + self._current.held

    def _complete(self) -> None:
        if len(self._whole) == self._room.packets:
            raise BadPacket("too much at once")
        self._whole.append(self._current)
        self._kept += self._current.held
        self._current = Incoming(min(self._room.kept, self._room.at_once - self._kept))

    def _split_at_separators(self, piece: bytes) -> None:
        *ended, rest = piece.split(SEPARATOR)
        for last in ended:
            self._current.add(last)
            self._complete()
        self._current.add(rest)

    def _split_by_lengths(self, piece: bytes) -> None:
        try:
            units = self._text.decode(piece).encode("utf-16-le")
        except UnicodeDecodeError as error:
            raise BadPacket("not UTF-8") from error
        at = 0
        while at < len(units):
            if self._missing:
                end = min(at + 2 * self._missing, len(units))
                self._current.add(units[at:end].decode("utf-16-le", "replace").encode())
                self._missing -= (end - at) // 2
            else:
                end = self._take_number(units, at)
            at = end
            if not self._missing and not self._number:
                self._complete()

    def _take_number(self, units: bytes, at: int) -> int:
        """Where the digits end, or what has come of them. Raises BadPacket."""
        found = units.find(b":\0", at, at + 2 * _LONGEST_NUMBER)
        end = found if found >= 0 else min(at + 2 * _LONGEST_NUMBER, len(units))
        self._number += units[at:end].decode("utf-16-le", "replace")
        if not (self._number.isascii() and self._number.isdigit()) or len(self._number) > _LONGEST_NUMBER:
            raise BadPacket("no length")
        if found < 0:
            return end
        self._missing, self._number = int(self._number), ""
        return end + 2

    def _split_by_marks(self, piece: bytes) -> None:
        """How revision 3 sends a buffer among the rest: 0 (text) or 1 (bytes), digits as bytes 0 to 9, 255, content."""
        at = 0
        while at < len(piece):
            if self._missing:
                content = piece[at : at + self._missing]
                self._current.add(content)
                self._missing -= len(content)
                at += len(content)
            else:
                self._take_mark(piece[at])
                at += 1
            if not self._missing and not self._number:
                self._complete()

    def _take_mark(self, byte: int) -> None:
        """Take a byte of what stands before a packet. Raises BadPacket."""
        if byte == _END_OF_NUMBER and len(self._number) > 1:
            if self._number[0] == str(_BYTES):
                self._current.add(BINARY)
            self._missing, self._number = int(self._number[1:]), ""
        elif byte > (9 if self._number else _BYTES) or len(self._number) > _LONGEST_NUMBER:
            raise BadPacket("no length")
        else:
            self._number += str(byte)
