"""Web Push: judges RFC 8030 requests, RFC 8292 signatures and RFC 8291 bodies, and answers as autopush does."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from messaging.simulators.behaviours import Behaviour, Kind, of_text_token
from messaging.simulators.exchange import Answer, ConnectionRules, Headers, Request, Verdict, json_answer
from messaging.simulators.faults import retry_after
from messaging.simulators.modes import Mode
from messaging.simulators.signed_tokens import from_base64url, parse_jwt, remember
from messaging.simulators.subscription_keys import keys_of_token

PATH = re.compile(r"/push/([A-Za-z0-9_-]+)")
TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
URGENCIES = ("very-low", "low", "normal", "high")
SUBJECT = re.compile(r"mailto:[^@\s]+@[^@\s]+\.[^@\s]+|https://[^\s/]+.*")
MAX_BODY, MAX_TTL_S, MAX_VAPID_LIFE_S = 4096, 2_592_000, 86_400
CLOCK_SKEW_S = 60
#: salt 16, record size 4, key length 1, P-256 point 65; then at least a delimiter and the 16-byte tag
HEADER_SIZE, MIN_BODY = 86, 103

#: HTTP status, errno of autopush (docs/src/errors.md), message
REFUSALS: dict[Kind, tuple[int, int, str]] = {
    Kind.DEAD: (410, 106, "Subscription is no longer valid"),
    Kind.EXPIRED: (410, 105, "Subscription has expired"),
    Kind.UNTIMED: (410, 106, "Subscription is no longer valid"),
    Kind.BAD: (404, 102, "Invalid URL endpoint"),
    Kind.MISMATCH: (403, 109, "VAPID public key mismatch"),
    Kind.THIRD_PARTY: (403, 109, "BadJwtToken"),
    Kind.S400: (400, 110, "Invalid crypto keys specified"),
    Kind.S401: (401, 109, "Invalid authentication"),
    Kind.S403: (403, 109, "BadJwtToken"),
    Kind.S404: (404, 102, "Invalid URL endpoint"),
    Kind.S413: (413, 104, "Data payload too large"),
    Kind.S429: (429, 113, "Too many requests"),
    Kind.S500: (500, 999, "Unknown server error"),
    Kind.S503: (503, 201, "Use exponential back-off for retries"),
    Kind.UNKNOWN: (418, 998, "An error nobody has documented"),
}


class Refused(Exception):
    """A rule is broken; status and errno as autopush answers."""

    def __init__(self, status: int, errno: int, message: str) -> None:
        super().__init__(message)
        self.status, self.errno = status, errno


class WebPushService:
    """One push service, its subscriptions all bound to one application server key."""

    name = "webpush"
    is_logged = True
    usual_rules = ConnectionRules(max_streams=100)

    def __init__(self, bound_key: bytes) -> None:
        self._bound_key = bound_key
        self._expires_at: dict[str, float] = {}  #: authorization headers found good for their origin, and their exp

    def judge(self, request: Request, mode: Mode) -> Verdict:
        """Judge a push message."""
        path = PATH.fullmatch(request.path)
        token = path[1] if path else ""
        plaintext: bytes | None = None
        try:
            _check_address(request, token)
            _check_headers(request.headers)
            self._check_vapid(request)
            plaintext = _decrypt(request, token)
            answer = _created(request)
        except Refused as refusal:
            answer = _refusal(refusal.status, refusal.errno, str(refusal))
        return Verdict(answer=answer, token=token, notification=_readable(plaintext))

    def refuse(self, behaviour: Behaviour) -> Answer | None:
        """Return autopush's answer for a behaviour."""
        if behaviour.kind not in REFUSALS:
            return None
        status, errno, message = REFUSALS[behaviour.kind]
        return _refusal(status, errno, message, retry_after(behaviour) if status in (429, 503) else ())

    def behaviour(self, token: str) -> Behaviour:
        """Return what a subscription asks for."""
        return of_text_token(token)

    def _check_vapid(self, request: Request) -> None:
        authorization = request.headers.get("authorization", "")
        if not authorization:
            raise Refused(401, 109, "Missing VAPID authorization")
        cache_key = f"{request.authority} {authorization}"
        expires_at = self._expires_at.get(cache_key)
        if expires_at is None:
            expires_at = self._verify(authorization, f"https://{request.authority}")
            remember(self._expires_at, cache_key, expires_at)
        if expires_at <= time.time():
            raise Refused(403, 109, "VAPID token has expired")

    def _verify(self, authorization: str, origin: str) -> float:
        """Return `exp` of a header that RFC 8292 allows for this origin."""
        scheme, _, parameters = authorization.partition(" ")
        fields = dict(item.strip().partition("=")[::2] for item in parameters.split(","))
        if scheme.lower() != "vapid" or not {"t", "k"} <= fields.keys():
            raise Refused(401, 109, "Authorization is not vapid t=..., k=...")
        try:
            key = from_base64url(fields["k"])
            jwt = parse_jwt(fields["t"])
            jwt.verify(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key))
        except ValueError as err:  # BadToken, or a point that is not on the curve
            raise Refused(403, 109, f"BadJwtToken: {err}") from err
        if key != self._bound_key:
            raise Refused(403, 109, REFUSALS[Kind.MISMATCH][2])
        if jwt.claims.get("aud") != origin:
            raise Refused(403, 109, "BadJwtToken: aud is not the origin of the endpoint")
        if "sub" in jwt.claims and not SUBJECT.fullmatch(str(jwt.claims["sub"])):
            raise Refused(403, 109, "BadJwtToken: sub is neither mailto: nor https:")
        return _expiry(jwt.seconds("exp"))


def _expiry(expires_at: float | None) -> float:
    if expires_at is None or expires_at > time.time() + MAX_VAPID_LIFE_S + CLOCK_SKEW_S:
        raise Refused(403, 109, "BadJwtToken: exp is missing or more than 24 hours ahead")
    return expires_at


def _check_address(request: Request, token: str) -> None:
    if not token:
        raise Refused(404, 102, REFUSALS[Kind.S404][2])
    if request.method != "POST":
        raise Refused(405, 0, "Method not allowed")


def _check_headers(headers: dict[str, str]) -> None:
    ttl = headers.get("ttl", "")
    if not ttl.isdecimal() or int(ttl) > MAX_TTL_S:
        raise Refused(400, 111, "Missing or invalid TTL header")
    if "topic" in headers and not TOPIC.fullmatch(headers["topic"]):
        raise Refused(400, 113, "Invalid Topic header")
    if headers.get("urgency", "normal") not in URGENCIES:
        raise Refused(400, 110, "Invalid Urgency header")


def _decrypt(request: Request, token: str) -> bytes:
    if not request.body:
        return b""  # RFC 8030 5: a message may have no content
    if len(request.body) > MAX_BODY:
        raise Refused(413, 104, REFUSALS[Kind.S413][2])
    if request.headers.get("content-encoding") != "aes128gcm":
        raise Refused(400, 110, "Content-Encoding is not aes128gcm")
    if len(request.body) < MIN_BODY or request.body[20] != 65:
        raise Refused(400, 110, "The body is no aes128gcm record with a P-256 key")
    keys = keys_of_token(token)
    try:
        plaintext: bytes = http_ece.decrypt(request.body, private_key=keys.private_key, auth_secret=keys.auth)
    except (http_ece.ECEException, ValueError) as err:
        raise Refused(400, 110, "The body cannot be decrypted with the subscription's keys") from err
    return plaintext


def _readable(plaintext: bytes | None) -> object:
    if plaintext is None:
        return None
    try:
        decoded: object = msgspec.json.decode(plaintext)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {"text": plaintext.decode("utf-8", "replace")}
    return decoded


def _created(request: Request) -> Answer:
    location = f"https://{request.authority}/m/{secrets.token_urlsafe(18)}"
    return Answer(status=201, headers=(("location", location), ("ttl", request.headers["ttl"])))


def _refusal(status: int, errno: int, message: str, headers: Headers = ()) -> Answer:
    content = {"code": status, "errno": errno, "error": message, "message": message}
    if status == 401:
        headers = (*headers, ("www-authenticate", "vapid"))
    return replace(
        json_answer(status, content, reason=message), headers=(("content-type", "application/json"), *headers)
    )
