"""Engine.IO and socket.io packets as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.realtime import packets
from messaging.realtime.connection import text_frame_header
from messaging.realtime.incoming import ROOM, Body
from messaging.realtime.packets import BadPacket, SocketPacket

text = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x1e"), min_size=1)


def decode(body: bytes, protocol: int, size: int = 1000) -> list[bytes]:
    """The packets of a POST that comes in pieces of this size."""
    reader = Body(protocol, ROOM)
    for start in range(0, len(body), size):
        reader.add(body[start : start + size])
    return [packet.start for packet in reader.packets()]


@given(st.lists(text, min_size=1), st.sampled_from([3, 4]), st.integers(1, 20))
def test_packets_survive_a_payload_in_any_pieces(sent: list[str], protocol: int, size: int) -> None:
    encoded = [packet.encode() for packet in sent]

    assert decode(packets.encode_payload(encoded, protocol), protocol, size) == encoded


def marked(mark: int, content: bytes) -> bytes:
    return bytes((mark, *map(int, str(len(content))), 255)) + content


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_revision_3_marks_packets_where_a_buffer_is_among_them(size: int) -> None:
    body = marked(0, b"451-/APP,[]") + marked(1, b"\x04\x00\xff") + marked(0, "4ä".encode())

    assert decode(body, 3, size) == [b"451-/APP,[]", b"b\x04\x00\xff", "4ä".encode()]


def test_revision_3_counts_utf_16_units() -> None:
    assert packets.encode_payload(["4ä😀".encode(), b"2"], 3) == "4:4ä😀1:2".encode()


@pytest.mark.parametrize(
    "body",
    [
        b"5:ab",
        b"x:ab",
        b"ab",
        b":ab",
        b"-1:a",
        b"\xff:a",
        b"99999999999999:a",
        b"\0\5",
        b"\0\xff",
        b"\0\x0a\xff",
        b"\0\2\xffa",
    ],
)
def test_a_revision_3_body_with_wrong_lengths_is_refused(body: bytes) -> None:
    with pytest.raises(BadPacket):
        decode(body, 3)


@pytest.mark.parametrize(
    ("written", "packet"),
    [
        (b"0/APP,", SocketPacket("0", "/APP")),
        (b"0/APP?apiKey=K&x=1,", SocketPacket("0", "/APP", "apiKey=K&x=1")),
        (b"0", SocketPacket("0")),
        (b'2/APP,["A",{"x":1}]', SocketPacket("2", "/APP", "", b'["A",{"x":1}]')),
        (b'2/APP,17["A"]', SocketPacket("2", "/APP", "", b'["A"]')),
        (b"1/APP,", SocketPacket("1", "/APP")),
        (b'51-/APP,["A"]', SocketPacket("5", "/APP", "", b'["A"]')),
    ],
)
def test_a_socket_packet_is_read(written: bytes, packet: SocketPacket) -> None:
    assert packets.decode_socket_packet(written) == packet


@pytest.mark.parametrize("written", [b"", b"9/APP,", b"2/APP,[", b"\xff", b"2/APP," + b"[" * 5_000, b"5/APP,1-[]"])
def test_a_broken_socket_packet_is_refused(written: bytes) -> None:
    with pytest.raises(BadPacket):
        packets.decode_socket_packet(written)


def test_head_and_tail_make_a_whole_packet() -> None:
    head = packets.subscription_head("/APP", 'a"1')

    assert head + packets.subscription_tail(b'{"x":1}') == b'42/APP,["SUB_RES",{"id":"a\\"1","data":{"x":1}}]'


@pytest.mark.parametrize(
    ("length", "header"),
    [(0, "8100"), (125, "817d"), (126, "817e007e"), (65_535, "817effff"), (65_536, "817f0000000000010000")],
)
def test_a_text_frame_says_its_length(length: int, header: str) -> None:
    assert text_frame_header(length).hex() == header
