"""What the web server gets to send: whole answers in one piece, streams as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from console.whole_answers import in_one_piece

#: the end of a request looks at the database connection of its thread
pytestmark = pytest.mark.django_db


def answer_of(response: HttpResponseBase) -> Iterable[bytes]:
    """What a WSGI server is given for it."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return response

    return in_one_piece(application)({}, None)  # type: ignore[arg-type]


def test_a_whole_answer_is_given_as_a_list_of_one_piece() -> None:
    assert answer_of(HttpResponse([b"one ", b"two"])) == [b"one two"]


def test_an_empty_answer_is_whole() -> None:
    assert answer_of(HttpResponse(status=204)) == [b""]


def test_a_whole_answer_is_finished_with_before_it_is_sent() -> None:
    finished: list[type] = []

    def note(sender: type, **_: object) -> None:
        finished.append(sender)

    response = HttpResponse(b"content")
    response._handler_class = HttpResponse  # type: ignore[attr-defined]  # as Django's handler sets it
    request_finished.connect(note)
    try:
        answer_of(response)
    finally:
        request_finished.disconnect(note)
    assert finished == [HttpResponse]
    assert response.closed


def test_a_stream_is_left_to_be_read_piece_by_piece() -> None:
    read: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            read.append(number)
            yield b"piece"

    response = StreamingHttpResponse(pieces())
    assert answer_of(response) is response
    assert not read
    assert not response.closed
