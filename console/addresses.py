"""Addresses whose bytes are no UTF-8: nothing is there.

Django writes such bytes as they were escaped, so that a channel could be published to as %FF and as %25FF. That is done
before any middleware runs, so this stands around Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: as `devices.errors.NotFound` reads; that module cannot be imported before Django is set up
_NOTHING = b'{"code":5904,"message":"The address is not UTF-8.","errorData":{}}'
_HEADERS = [
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(_NOTHING))),
    ("Cache-Control", "no-store"),
    ("Access-Control-Allow-Origin", "*"),
]


def utf_8_addresses(application: Application) -> Application:
    """The application, behind a 404 for any other address."""

    def answered(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if path.isascii() or _is_utf_8(path):
            return application(environ, start_response)
        start_response("404 Not Found", _HEADERS)
        return [_NOTHING]

    return answered


def _is_utf_8(path: str) -> bool:
    """WSGI gives bytes as the characters of Latin-1 (PEP 3333)."""
    try:
        path.encode("latin-1").decode()
    except UnicodeError:
        return False
    return True
