"""Answers that are whole are handed to granian in one piece.

It sends a list at once; of anything else it asks for piece after piece, through a channel between two threads that wake
each other. That is what streams are for: files and exports stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpResponse

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def in_one_piece(application: Application) -> Application:
    """Django, whose whole answers are finished with (WSGI's `close`) before they are sent."""

    def answered(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        response = application(environ, start_response)
        if not isinstance(response, HttpResponse):
            return response
        content = response.content
        response.close()
        return [content]

    return answered
