"""WNS: judges channel POSTs by "Push notification service request and response headers" (Microsoft Learn)."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable

from messaging.simulators.behaviours import Behaviour, Kind, of_text_token
from messaging.simulators.exchange import Answer, ConnectionRules, Headers, Request, Verdict
from messaging.simulators.faults import retry_after
from messaging.simulators.modes import Mode
from messaging.simulators.signed_tokens import TokenIssuer, bearer_of
from messaging.simulators.wns_xml import MalformedXml, read_xml

PATH = re.compile(r"/w/([A-Za-z0-9_.%-]+)")
TAG = re.compile(r"[A-Za-z0-9]{1,16}")
MAX_PAYLOAD = 5000
ROOTS = {"wns/toast": "toast", "wns/tile": "tile", "wns/badge": "badge"}
RAW = "wns/raw"

REFUSALS: dict[Kind, tuple[int, str]] = {
    Kind.DEAD: (410, "The channel has expired."),
    Kind.EXPIRED: (410, "The channel has expired."),
    Kind.UNTIMED: (410, "The channel has expired."),
    Kind.BLOCKED: (410, "Domain Blocked"),
    Kind.BAD: (404, "The channel URI is not valid or is not recognized by WNS."),
    Kind.MISMATCH: (403, "The cloud service is not authorized to send to this URI."),
    Kind.THIRD_PARTY: (403, "The cloud service is not authorized to send to this URI."),
    Kind.S400: (400, "One or more headers were specified incorrectly or conflict with another header."),
    Kind.S401: (401, "The token is expired."),
    Kind.S403: (403, "The cloud service is not authorized to send to this URI."),
    Kind.S404: (404, "The channel URI is not valid or is not recognized by WNS."),
    Kind.S413: (413, "The notification payload exceeds the 5000 byte size limit."),
    Kind.S429: (406, "The cloud service exceeded its throttle limit."),
    Kind.S500: (500, "An internal failure caused notification delivery to fail."),
    Kind.S503: (503, "The server is currently unavailable."),
    Kind.UNKNOWN: (418, "A status nobody has documented."),
}
STATUS_WORDS = {Kind.DROPPED: "dropped", Kind.THROTTLED: "channelthrottled"}


class Refused(Exception):
    """A rule is broken; the text becomes X-WNS-Error-Description."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status


class WnsService:
    """The notification service of one Windows app."""

    name = "wns"
    is_logged = True
    usual_rules = ConnectionRules(max_streams=100)

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def judge(self, request: Request, mode: Mode) -> Verdict:
        """Judge a notification."""
        path = PATH.fullmatch(request.path)
        token = path[1] if path else ""
        notification: dict[str, object] = {}
        try:
            self._check(request, token)
            notification = _content(request)
        except Refused as refusal:
            return Verdict(answer=_refusal(refusal.status, str(refusal)), token=token, notification=_undecoded(request))
        return Verdict(answer=_taken("received", request), token=token, notification=notification)

    def refuse(self, behaviour: Behaviour) -> Answer | None:
        """Return the answer of WNS for a behaviour."""
        if behaviour.kind in STATUS_WORDS:
            return _taken(STATUS_WORDS[behaviour.kind], None)
        if behaviour.kind not in REFUSALS:
            return None
        status, description = REFUSALS[behaviour.kind]
        return _refusal(status, description, retry_after(behaviour) if status in (406, 503) else ())

    def behaviour(self, token: str) -> Behaviour:
        """Return what a channel asks for."""
        return of_text_token(token)

    def _check(self, request: Request, token: str) -> None:
        if not token:
            raise Refused(404, REFUSALS[Kind.S404][1])
        if request.method != "POST":
            raise Refused(405, "Invalid method; only POST is allowed.")
        access_token = bearer_of(request.headers.get("authorization", ""))
        if not access_token or not self._issuer.is_ours(access_token):
            raise Refused(401, "The cloud service did not present a valid authentication ticket.")
        if self._issuer.is_expired(access_token):
            raise Refused(401, REFUSALS[Kind.S401][1])
        _check_headers(request.headers)
        if len(request.body) > MAX_PAYLOAD:
            raise Refused(413, REFUSALS[Kind.S413][1])


def _is_ttl(value: str) -> bool:
    return value.isdecimal() and int(value) > 0


def _is_tag(value: str) -> bool:
    return TAG.fullmatch(value) is not None


_OPTIONAL: dict[str, Callable[[str], bool]] = {
    "x-wns-ttl": _is_ttl,
    "x-wns-tag": _is_tag,
    "x-wns-cache-policy": frozenset({"cache", "no-cache"}).__contains__,
    "x-wns-requestforstatus": frozenset({"true", "false"}).__contains__,
}


def _check_headers(headers: dict[str, str]) -> None:
    kind = headers.get("x-wns-type", "")
    if kind not in ROOTS and kind != RAW:
        raise Refused(400, "X-WNS-Type is missing or not one of wns/toast, wns/tile, wns/badge, wns/raw.")
    expected = "application/octet-stream" if kind == RAW else "text/xml"
    if headers.get("content-type", "").partition(";")[0].strip().lower() != expected:
        raise Refused(400, f"Content-Type must be {expected} for {kind}.")
    # "Chunked encoding is not supported": on HTTP/2, too, the length must be given.
    if "transfer-encoding" in headers or not headers.get("content-length", "").isdecimal():
        raise Refused(400, "Content-Length is required; chunked transfer is not supported.")
    for name, is_valid in _OPTIONAL.items():
        if name in headers and not is_valid(headers[name]):
            raise Refused(400, f"{name} is specified incorrectly.")


def _content(request: Request) -> dict[str, object]:
    kind = request.headers["x-wns-type"]
    if kind == RAW:
        return _undecoded(request)
    try:
        document = read_xml(request.body)
    except MalformedXml as err:
        raise Refused(400, f"The payload is not well-formed XML: {err}") from err
    if document.root != ROOTS[kind]:
        raise Refused(400, f"The root of a {kind} payload must be <{ROOTS[kind]}>, not <{document.root}>.")
    return {
        "type": kind,
        "texts": document.texts,
        "attributes": document.attributes,
        "xml": request.body.decode("utf-8", "replace"),
    }


def _undecoded(request: Request) -> dict[str, object]:
    kind = request.headers.get("x-wns-type", "")
    try:
        return {"type": kind, "raw": request.body.decode()}
    except UnicodeDecodeError:
        return {"type": kind, "raw_base64": base64.b64encode(request.body).decode()}


def _taken(status_word: str, request: Request | None) -> Answer:
    wants_status = request is not None and request.headers.get("x-wns-requestforstatus") == "true"
    headers = (("x-wns-status", status_word), *_trace())
    if wants_status:
        headers = (*headers, ("x-wns-deviceconnectionstatus", "connected"))
    return Answer(status=200, reason="" if status_word == "received" else status_word, headers=headers)


def _refusal(status: int, description: str, more: Headers = ()) -> Answer:
    headers = (("x-wns-error-description", description), *_trace(), *more)
    if status == 401:
        headers = (*headers, ("www-authenticate", 'Bearer error="invalid_token"'))
    return Answer(status=status, reason=description, headers=headers)


def _trace() -> Headers:
    return (
        ("x-wns-msg-id", secrets.token_hex(8).upper()),
        ("x-wns-debug-trace", "CLARION-SIMULATOR"),
        ("ms-cv", secrets.token_urlsafe(12)),
    )
