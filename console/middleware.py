"""Sessions of people: 60 idle minutes, 12 hours at most, and nothing of the console kept in a browser's cache."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

from console.access import to_login

#: the REST API, which ignores cookies altogether (reliability.md 2.3)
_API_PATH = re.compile(r"/(?:api/|[0-9a-f]{8}-[0-9a-f-]{27}/)", re.IGNORECASE)
#: seconds between two notes of activity: a page that reads ten fragments should not write the session ten times
_NOTE_EVERY_S = 60


class ProxiedClientAddress:
    """Behind a proxy (CLARION_BEHIND_PROXY) the client is the last entry of X-Forwarded-For, which the proxy wrote.

    Login throttling and the audit trail would otherwise take all visitors for one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Put the client's address where Django looks for it."""
        last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        with contextlib.suppress(ValueError):  # no proxy wrote one: a health check on the machine itself
            request.META["REMOTE_ADDR"] = str(ip_address(last))
        return self.get_response(request)


class ConsoleSessionMiddleware:
    """End sessions that are too old or unused, and forbid caching of every page a session can open."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or send the person to the login page when the session has ended."""
        if _API_PATH.match(request.path):
            return self.get_response(request)
        response = self._ended(request) or self.get_response(request)
        if "Cache-Control" not in response:
            response.headers["Cache-Control"] = "no-store"
        return response

    def _ended(self, request: HttpRequest) -> HttpResponse | None:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return None
        now = int(time.time())
        if _is_over(request, now):
            logout(request)
            messages.info(request, "Your session has ended. Sign in again to go on.")
            return to_login(request)
        _note_activity(request, now)
        return None


def _is_over(request: HttpRequest, now: int) -> bool:
    began = request.session.get("began_at", now)
    seen = request.session.get("seen_at", now)
    return bool(now - began > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_SECONDS)


def _note_activity(request: HttpRequest, now: int) -> None:
    """Reading a fragment is no activity: a page left open polls for ever."""
    is_poll = bool(request.htmx) and request.method == "GET"  # type: ignore[attr-defined]
    if "began_at" not in request.session:
        request.session["began_at"] = request.session["seen_at"] = now
    elif not is_poll and now - request.session["seen_at"] >= _NOTE_EVERY_S:
        request.session["seen_at"] = now
