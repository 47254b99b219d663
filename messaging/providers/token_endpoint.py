"""Ask an OAuth 2.0 token endpoint for an access token (RFC 6749 4.4, RFC 7523), blocking and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from messaging.providers.answers import body_excerpt, json_object, parse_retry_after, printable, text_of
from messaging.providers.base import (
    CredentialFault,
    HttpAnswer,
    HttpRequest,
    ProviderUnavailable,
    TransportFailure,
    UntrustedServer,
)
from messaging.providers.credentials import AccessToken
from messaging.providers.http_transport import HttpTransport
from messaging.providers.transport_rules import TransportRules

_HEADERS = ("content-type: application/x-www-form-urlencoded",)
_DEFAULT_LIFE_S = 3600
_MAX_LIFE_S = 86_400


def fetch_token(url: str, form: Mapping[str, str], rules: TransportRules, *, owner: str) -> AccessToken:
    """Post `form` and read `access_token` and `expires_in` from the answer.

    `owner` names the credential in messages. Raises CredentialFault, ProviderUnavailable.
    """
    answer = _post(url, urlencode(form).encode(), rules)
    if answer.failure is TransportFailure.TLS:
        raise UntrustedServer(f"No TLS connection to the token endpoint for {owner} can be trusted: {answer.detail}")
    if answer.failure is not None:
        raise ProviderUnavailable(f"The token endpoint for {owner} cannot be reached: {answer.detail}")
    if answer.status == 429 or answer.status >= 500:
        raise ProviderUnavailable(f"The token endpoint for {owner} answered {answer.status}.", _retry_after(answer))
    if answer.status != 200:
        raise CredentialFault(f"{owner} was refused by the token endpoint: {_refusal(answer)}.")
    return _read_token(answer, owner)


def _post(url: str, body: bytes, rules: TransportRules) -> HttpAnswer:
    transport = HttpTransport(rules)
    try:
        transport.submit(HttpRequest(0, url, _HEADERS, body))
        # The deadline of the rules ends the wait: every request gets its answer or a failure.
        while True:
            for answer in transport.poll(rules.deadline_s):
                return answer
    finally:
        transport.close()


def _read_token(answer: HttpAnswer, owner: str) -> AccessToken:
    parsed = json_object(answer.body)
    token, life_s = text_of(parsed, "access_token"), parsed.get("expires_in")
    # It goes into a header line as it is.
    if not token.isascii() or not token.isprintable() or not token:
        raise ProviderUnavailable(f"The token endpoint for {owner} gave no usable token: {body_excerpt(answer)}")
    if isinstance(life_s, str) and life_s.isascii() and life_s.isdigit():
        life_s = int(life_s[:9])
    if not isinstance(life_s, int) or life_s <= 0:
        life_s = _DEFAULT_LIFE_S
    issued_at = datetime.now(UTC)
    return AccessToken(token, issued_at, issued_at + timedelta(seconds=min(life_s, _MAX_LIFE_S)))


def _refusal(answer: HttpAnswer) -> str:
    parsed = json_object(answer.body)
    words = f"{text_of(parsed, 'error')} {text_of(parsed, 'error_description')}".strip() or body_excerpt(answer)
    hint = "; check this machine's clock and whether the key was revoked" if "invalid_grant" in words else ""
    return f"{answer.status} {printable(words, 200)}{hint}"


def _retry_after(answer: HttpAnswer) -> float | None:
    return parse_retry_after(answer.headers.get("retry-after", ""), datetime.now(UTC))
