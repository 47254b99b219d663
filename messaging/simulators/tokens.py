"""The two OAuth token endpoints: Google's for service accounts, Microsoft's for WNS."""

from __future__ import annotations

import hmac
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa

from messaging.simulators.behaviours import NORMAL, Behaviour, Kind
from messaging.simulators.exchange import Answer, ConnectionRules, Request, Verdict, json_answer
from messaging.simulators.faults import retry_after
from messaging.simulators.modes import Mode
from messaging.simulators.signed_tokens import BadToken, Jwt, TokenIssuer, parse_jwt

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    {"https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"}
)
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
MAX_LIFE_S, CLOCK_SKEW_S = 3600, 300
FORM_TYPE = "application/x-www-form-urlencoded"
TIMEFRAME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
REFUSALS: dict[Kind, tuple[int, str]] = {
    Kind.S400: (400, "invalid_grant"),
    Kind.S401: (401, "invalid_client"),
    Kind.S403: (403, "access_denied"),
    Kind.S404: (404, "not_found"),
    Kind.S429: (429, "rate_limit_exceeded"),
    Kind.S500: (500, "internal_failure"),
    Kind.S503: (503, "temporarily_unavailable"),
    Kind.UNKNOWN: (400, "something_new"),
}


class Refused(Exception):
    """The token request breaks a rule; `error` is the OAuth error code (RFC 6749 5.2)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


@dataclass(frozen=True, slots=True)
class GoogleAccount:
    """The service account that may ask for tokens."""

    client_email: str
    public_key: rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class WnsAccount:
    """The Windows app that may ask for tokens."""

    package_sid: str
    client_secret: str


class TokenEndpoint(ABC):
    """What both endpoints share: a form comes in, a bearer token or an OAuth error goes out."""

    is_logged = False
    usual_rules = ConnectionRules()
    path = "/token"
    token_type = "Bearer"  # noqa: S105

    def __init__(self, name: str, issuer: TokenIssuer) -> None:
        self.name = name
        self._issuer = issuer

    def judge(self, request: Request, mode: Mode) -> Verdict:
        """Judge a token request."""
        if request.path != self.path or request.method != "POST":
            return Verdict(answer=json_answer(404, {"error": "not_found"}, reason="not_found"))
        try:
            self._check(_form(request), request)
        except Refused as refusal:
            content = {"error": refusal.error, "error_description": str(refusal)}
            return Verdict(answer=json_answer(400, content, reason=refusal.error))
        content_ok = {
            "access_token": self._issuer.issue(),
            "expires_in": self._issuer.life_s,
            "token_type": self.token_type,
        }
        return Verdict(answer=json_answer(200, content_ok, headers=(("cache-control", "no-store"),)))

    def refuse(self, behaviour: Behaviour) -> Answer | None:
        """Return an OAuth error for a behaviour."""
        if behaviour.kind not in REFUSALS:
            return None
        status, error = REFUSALS[behaviour.kind]
        content = {"error": error, "error_description": f"Simulated {error}."}
        return json_answer(status, content, reason=error, headers=retry_after(behaviour))

    def behaviour(self, token: str) -> Behaviour:
        """No device token comes here."""
        return NORMAL

    @abstractmethod
    def _check(self, form: dict[str, str], request: Request) -> None:
        """Raise Refused unless the form deserves a token."""


class GoogleTokenEndpoint(TokenEndpoint):
    """https://oauth2.googleapis.com/token for service accounts (RFC 7523)."""

    def __init__(self, name: str, issuer: TokenIssuer, account: GoogleAccount) -> None:
        super().__init__(name, issuer)
        self._account = account

    def _check(self, form: dict[str, str], request: Request) -> None:
        if form.get("grant_type") != JWT_GRANT:
            raise Refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        try:
            jwt = parse_jwt(form.get("assertion", ""))
        except BadToken as err:
            raise Refused("invalid_request", "Bad Request") from err
        if jwt.claims.get("iss") != self._account.client_email:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        try:
            jwt.verify(self._account.public_key)
        except BadToken as err:
            raise Refused("invalid_grant", "Invalid JWT Signature.") from err
        _check_times(jwt)
        _check_audience(jwt, f"https://{request.authority}{self.path}")
        if not SCOPES & set(str(jwt.claims.get("scope", "")).split()):
            raise Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


class WnsTokenEndpoint(TokenEndpoint):
    """https://login.live.com/accesstoken.srf with client credentials."""

    path = "/accesstoken.srf"
    token_type = "bearer"  # noqa: S105

    def __init__(self, name: str, issuer: TokenIssuer, account: WnsAccount) -> None:
        super().__init__(name, issuer)
        self._account = account

    def _check(self, form: dict[str, str], request: Request) -> None:
        if form.get("grant_type") != "client_credentials":
            raise Refused("unsupported_grant_type", "The grant_type must be client_credentials.")
        if form.get("scope") != "notify.windows.com":
            raise Refused("invalid_scope", "The scope must be notify.windows.com.")
        secret = form.get("client_secret", "").encode()
        is_right = hmac.compare_digest(secret, self._account.client_secret.encode())
        if form.get("client_id") != self._account.package_sid or not is_right:
            raise Refused("invalid_client", "Invalid client id or secret.")


def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM_TYPE:
        raise Refused("invalid_request", f"The content type must be {FORM_TYPE}.")
    return dict(parse_qsl(request.body.decode("latin-1")))


def _check_times(jwt: Jwt) -> None:
    issued_at, expires_at, now = jwt.seconds("iat"), jwt.seconds("exp"), time.time()
    if issued_at is None or expires_at is None:
        raise Refused("invalid_grant", TIMEFRAME)
    is_timely = issued_at <= now + CLOCK_SKEW_S and now - CLOCK_SKEW_S < expires_at
    if not is_timely or not 0 < expires_at - issued_at <= MAX_LIFE_S:
        raise Refused("invalid_grant", TIMEFRAME)


def _check_audience(jwt: Jwt, own_url: str) -> None:
    # Google's own URL is fine too: clients that are only pointed elsewhere keep it as the audience.
    audience = str(jwt.claims.get("aud", ""))
    allowed = {own_url, GOOGLE_AUDIENCE}
    if urlsplit(audience).hostname == "127.0.0.1":
        audience = audience.replace("127.0.0.1", "localhost", 1)
    if audience not in allowed and audience.replace("localhost", "127.0.0.1", 1) not in allowed:
        raise Refused("invalid_grant", "Invalid JWT: Failed audience check.")
