"""Answers that are alike in every service: broken bodies, redirects, silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from messaging.simulators.behaviours import DEFAULT_SLOW_MS, Behaviour, Kind
from messaging.simulators.exchange import Answer, Ending, Headers

Refuse = Callable[[Behaviour], Answer | None]

#: Larger than any sane cap on answers (8 KiB in ours), small enough to send for a whole audience.
HUGE_BODY = b'{"error":"' + b"x" * 1_000_000 + b'"}'
GATEWAY_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"</body>\r\n</html>\r\n"
)
HTML_TYPE = ("content-type", "text/html; charset=UTF-8")

_ENDINGS = {Kind.HANG: Ending.HANG, Kind.RESET: Ending.RESET, Kind.CUT: Ending.CUT}
_REDIRECTS = (Kind.S301, Kind.S302, Kind.S307, Kind.S308)
_BODIES = {
    Kind.S502: (502, HTML_TYPE, GATEWAY_HTML),
    Kind.PLAIN: (500, ("content-type", "text/plain"), b"backend error"),
    Kind.HUGE: (500, ("content-type", "application/json"), HUGE_BODY),
}


def misbehave(behaviour: Behaviour, accepted: Answer, refuse: Refuse, redirect_to: str) -> Answer:
    """Return the answer a behaviour asks for; `accepted` is what the request deserves without it."""
    kind = behaviour.kind
    if kind in _ENDINGS:
        return Answer(status=0, reason=kind.value, ending=_ENDINGS[kind], authenticated=accepted.authenticated)
    if kind is Kind.SLOW:
        milliseconds = DEFAULT_SLOW_MS if behaviour.number is None else behaviour.number
        return replace(accepted, delay_s=milliseconds / 1000)
    if kind in _REDIRECTS:
        return Answer(status=int(kind.value), reason="redirect", headers=(("location", redirect_to),))
    if kind in _BODIES:
        status, content_type, body = _BODIES[kind]
        return Answer(status=status, reason=kind.value, headers=(content_type,), body=body)
    if kind is Kind.TRUNCATED:
        return _truncated(refuse)
    return refuse(behaviour) or accepted


def retry_after(behaviour: Behaviour) -> Headers:
    """Return the Retry-After header a behaviour asks for, if it gives seconds."""
    return () if behaviour.number is None else (("retry-after", str(behaviour.number)),)


def _truncated(refuse: Refuse) -> Answer:
    whole = refuse(Behaviour(Kind.S500)) or Answer(status=500, body=b'{"error":"internal"}')
    return replace(whole, reason="truncated", body=whole.body[: len(whole.body) // 2])
