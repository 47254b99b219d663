"""APNs: judges requests by Apple's "Sending notification requests to APNs" and "Handling notification responses"."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, replace

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from messaging.simulators.apns_payload import payload_fault
from messaging.simulators.behaviours import Behaviour, Kind, of_hex_token
from messaging.simulators.exchange import Answer, ConnectionRules, Request, Verdict, json_answer
from messaging.simulators.faults import retry_after
from messaging.simulators.modes import Mode
from messaging.simulators.signed_tokens import BadToken, bearer_of, parse_jwt, remember

TOKEN_LIFE_S = 3600
CLOCK_SKEW_S = 60
PATH = re.compile(r"/3/device/([^/?]*)")
#: Apple asks not to assume a size; 64 digits is the least seen, 200 the most it documents elsewhere.
DEVICE_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
APNS_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TOPIC_FORM = re.compile(r"[A-Za-z0-9.-]{1,255}")
TOPIC_SUFFIX = {
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "location": ".location-query",
    "liveactivity": ".push-type.liveactivity",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
    "controls": ".push-type.controls",
}
MAX_PAYLOAD, MAX_VOIP_PAYLOAD, MAX_COLLAPSE_ID = 4096, 5120, 64

REFUSALS: dict[Kind, tuple[int, str]] = {
    Kind.DEAD: (410, "Unregistered"),
    Kind.EXPIRED: (410, "ExpiredToken"),
    Kind.UNTIMED: (410, "Unregistered"),
    Kind.BAD: (400, "BadDeviceToken"),
    Kind.MISMATCH: (400, "DeviceTokenNotForTopic"),
    Kind.THIRD_PARTY: (403, "BadEnvironmentKeyIdInToken"),
    Kind.S400: (400, "BadMessageId"),
    Kind.S401: (403, "ExpiredProviderToken"),
    Kind.S403: (403, "InvalidProviderToken"),
    Kind.S404: (404, "BadPath"),
    Kind.S413: (413, "PayloadTooLarge"),
    Kind.S429: (429, "TooManyRequests"),
    Kind.S500: (500, "InternalServerError"),
    Kind.S503: (503, "ServiceUnavailable"),
    Kind.UNKNOWN: (400, "SomethingApplePublishedYesterday"),
}


class Refused(Exception):
    """A rule is broken; `status` and `reason` as Apple answers."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True)
class ApnsAccount:
    """The developer account behind the simulator."""

    team_id: str
    key_id: str
    topic: str  #: bundle id
    public_key: ec.EllipticCurvePublicKey


class ApnsService:
    """One APNs environment."""

    is_logged = True
    usual_rules = ConnectionRules(max_streams=1000, is_one_stream_first=True, goaway_debug=b'{"reason":"Shutdown"}')

    def __init__(self, name: str, account: ApnsAccount) -> None:
        self.name = name
        self._account = account
        self._issued_at: dict[str, float] = {}  #: provider tokens with a good signature, and their iat
        self._newest_seen_at = 0.0

    def judge(self, request: Request, mode: Mode) -> Verdict:
        """Judge a push request."""
        token = _device_token(request.path)
        payload = _decode(request.body)
        apns_id = request.headers.get("apns-id") or str(uuid.uuid4())
        answer = replace(self._answer(request, token, payload, mode), trace=(("apns-id", apns_id),))
        return Verdict(answer=answer, token=token or "", notification=payload)

    def refuse(self, behaviour: Behaviour) -> Answer | None:
        """Return Apple's answer for a behaviour."""
        if behaviour.kind not in REFUSALS:
            return None
        status, reason = REFUSALS[behaviour.kind]
        body: dict[str, object] = {"reason": reason}
        if status == 410 and behaviour.kind is not Kind.UNTIMED:
            body["timestamp"] = int((time.time() - 3600 * (behaviour.number or 0)) * 1000)
        headers = retry_after(behaviour) if status in (429, 503) else ()
        # The token was good: a refusal for the device's sake still opens the connection to more streams.
        return replace(json_answer(status, body, reason=reason, headers=headers), authenticated=status != 403)

    def behaviour(self, token: str) -> Behaviour:
        """Return what a device token asks for."""
        return of_hex_token(token)

    def _answer(self, request: Request, token: str | None, payload: object, mode: Mode) -> Answer:
        is_authenticated = False
        try:
            _check_address(request, token)
            self._check_authorization(request.headers.get("authorization", ""), mode)
            is_authenticated = True
            self._check_headers(request)
            _check_payload(request, payload)
        except Refused as refusal:
            answer = json_answer(refusal.status, {"reason": refusal.reason}, reason=refusal.reason)
            return replace(answer, authenticated=is_authenticated)
        return Answer(status=200, authenticated=True)

    def _check_authorization(self, authorization: str, mode: Mode) -> None:
        provider_token = bearer_of(authorization)
        if not provider_token:
            raise Refused(403, "MissingProviderToken")
        issued_at = self._issued_at.get(provider_token)
        if issued_at is None:
            issued_at = self._verify(provider_token)
            self._check_update_rate(mode)
            remember(self._issued_at, provider_token, issued_at)
        if time.time() - issued_at > TOKEN_LIFE_S:
            raise Refused(403, "ExpiredProviderToken")

    def _verify(self, provider_token: str) -> float:
        """Return `iat` of a token whose signature, key and team are right."""
        try:
            jwt = parse_jwt(provider_token)
            jwt.verify(self._account.public_key)
        except BadToken as err:
            raise Refused(403, "InvalidProviderToken") from err
        issued_at = jwt.seconds("iat")
        is_ours = jwt.header.get("kid") == self._account.key_id and jwt.claims.get("iss") == self._account.team_id
        if not is_ours or issued_at is None or issued_at > time.time() + CLOCK_SKEW_S:
            raise Refused(403, "InvalidProviderToken")
        return issued_at

    def _check_update_rate(self, mode: Mode) -> None:
        age_s = time.time() - self._newest_seen_at
        if mode.token_update_s and age_s < mode.token_update_s:
            raise Refused(429, "TooManyProviderTokenUpdates")
        self._newest_seen_at = time.time()

    def _check_headers(self, request: Request) -> None:
        headers = request.headers
        if any(name.startswith("apns-") or name == "authorization" for name in request.repeated):
            raise Refused(400, "DuplicateHeaders")
        self._check_topic(headers.get("apns-topic", ""), headers.get("apns-push-type", ""))
        if "apns-id" in headers and not APNS_ID.fullmatch(headers["apns-id"]):
            raise Refused(400, "BadMessageId")
        if not headers.get("apns-expiration", "0").isdecimal():
            raise Refused(400, "BadExpirationDate")
        if headers.get("apns-priority", "10") not in ("10", "5", "1"):
            raise Refused(400, "BadPriority")
        if len(headers.get("apns-collapse-id", "").encode("latin-1")) > MAX_COLLAPSE_ID:
            raise Refused(400, "BadCollapseId")

    def _check_topic(self, topic: str, push_type: str) -> None:
        if not topic:
            raise Refused(400, "MissingTopic")
        if not TOPIC_FORM.fullmatch(topic):
            raise Refused(400, "BadTopic")
        if topic != self._account.topic + TOPIC_SUFFIX.get(push_type, ""):
            raise Refused(400, "TopicDisallowed")


def _device_token(path: str) -> str | None:
    match = PATH.fullmatch(path)
    return match[1] if match else None


def _check_address(request: Request, token: str | None) -> None:
    if token is None:
        raise Refused(404, "BadPath")
    if request.method != "POST":
        raise Refused(405, "MethodNotAllowed")
    if not token:
        raise Refused(400, "MissingDeviceToken")
    if not DEVICE_TOKEN.fullmatch(token):
        raise Refused(400, "BadDeviceToken")


def _check_payload(request: Request, payload: object) -> None:
    push_type = request.headers.get("apns-push-type", "")
    if not request.body:
        raise Refused(400, "PayloadEmpty")
    if len(request.body) > (MAX_VOIP_PAYLOAD if push_type == "voip" else MAX_PAYLOAD):
        raise Refused(413, "PayloadTooLarge")
    fault = payload_fault(payload, push_type, request.headers.get("apns-priority", "10"))
    if fault:
        raise Refused(400, fault)


def _decode(body: bytes) -> object:
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return decoded
