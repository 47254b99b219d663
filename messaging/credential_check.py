"""Find out whether a stored credential works, by the mildest request each push service has. No device gets anything.

FCM: a token exchange and a `validate_only` message to a token nobody has; APNs: a notification to such a token; WNS:
its token endpoint; Web Push: a signature, since a browser's push service has nothing to ask without a subscription.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from devices.push_services import PushService
from messaging import database
from messaging.access_tokens import DatabaseTokenStore
from messaging.models import ProviderCredential
from messaging.providers.base import (
    CredentialFault,
    Envelope,
    HttpAnswer,
    HttpRequest,
    OutcomeKind,
    Provider,
    ProviderUnavailable,
    PushOutcome,
    Target,
    TransportFailure,
    UntrustedServer,
)
from messaging.providers.credentials import InvalidCredential, MemoryTokenStore, TokenStore, WebPushCredential
from messaging.providers.notifications import AndroidNotification, IosNotification, Notification
from messaging.providers.registry import ProviderEndpoints, make_provider
from messaging.providers.transport_rules import TransportRules
from messaging.secrets import SecretUnreadable, read_credential
from messaging.senders import endpoints_of

#: of one request; a check makes at most two, and somebody waits for it
_DEADLINE_S = 5.0
_ENVELOPE = Envelope(message_id="message:credential-check", occurrence_id=0, ttl_s=0)
#: no form that FCM gives its tokens
_FCM_TOKEN = "clarion-credential-check"  # noqa: S105  # of no device
#: 32 bytes that Apple gives no device; the simulators read the end as a token they do not know
_APNS_TOKEN = "0" * 56 + "fa04ff00"
#: the token was refused, hence the credential was not: it is looked at first
_TOKEN_REFUSED = frozenset({OutcomeKind.ACCEPTED, OutcomeKind.GONE, OutcomeKind.SUSPECT, OutcomeKind.FAIL_MESSAGE})
_CREDENTIAL_REFUSED = frozenset({OutcomeKind.REAUTH, OutcomeKind.PAUSE, OutcomeKind.KEY_REFUSED})

_NEVER_EXPIRES: dict[PushService, str] = {
    PushService.FCM: "Service-account keys do not expire unless the Google organisation says so.",
    PushService.APNS: "APNs authentication keys do not expire; Apple ends them only by revocation.",
    PushService.WNS: "WNS does not tell when a client secret ends: see the app's page at Microsoft.",
    PushService.WEBPUSH: "VAPID keys do not expire; a new one would lose every subscription.",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found."""

    ok: bool | None  #: None: the push service could not be asked
    detail: str  #: one sentence for people, without secrets
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class KeyAge:
    """How old a credential is, and when it ends."""

    age_days: int  #: since it was stored
    days_left: int | None  #: None: it tells no end
    note: str


@dataclass(frozen=True, slots=True)
class _Finding:
    ok: bool | None
    detail: str


class _HurriedEndpoints(ProviderEndpoints):
    """The same places, asked with less patience."""

    def rules(self, **changes: Any) -> TransportRules:
        """Transport rules for a check."""
        return ProviderEndpoints.rules(self, **{"deadline_s": _DEADLINE_S, **changes})


def check_credential(row: ProviderCredential) -> CheckResult:
    """Ask the push service, remember the answer with the credential; within 15 s, whatever happens."""
    finding = _find(row)
    result = CheckResult(finding.ok, finding.detail, database.now())
    # A credential that was replaced meanwhile has not been checked
    ProviderCredential.objects.filter(pk=row.pk, version=row.version).update(
        checked_at=result.checked_at, check_ok=result.ok, check_detail=result.detail
    )
    return result


def key_age(row: ProviderCredential) -> KeyAge:
    """Age in days. Of the credentials we take none carries an end: they are keys and secrets, not certificates."""
    age: timedelta = database.now() - row.updated_at
    return KeyAge(age_days=max(0, age.days), days_left=None, note=_NEVER_EXPIRES[PushService(row.push_service)])


def _find(row: ProviderCredential) -> _Finding:
    service = PushService(row.push_service)
    try:
        values = read_credential(row)
        if service is PushService.WEBPUSH:
            return _check_web_push(WebPushCredential.from_json(values))
        provider = make_provider(service, values, _hurried(endpoints_of(row.application)), _store(row, service))
    except (SecretUnreadable, InvalidCredential, CredentialFault) as fault:
        return _Finding(False, str(fault))
    try:
        provider.authorize()
        return _CHECKS[service](provider)
    except (ProviderUnavailable, UntrustedServer) as trouble:
        return _Finding(None, str(trouble))
    except CredentialFault as fault:
        return _Finding(False, str(fault))
    finally:
        provider.transport.close()


def _hurried(endpoints: ProviderEndpoints) -> ProviderEndpoints:
    return _HurriedEndpoints(**{field.name: getattr(endpoints, field.name) for field in fields(endpoints)})


def _store(row: ProviderCredential, service: PushService) -> TokenStore:
    """A new access token, so that a key revoked since the last one is found out.

    APNs refuses a new provider token within 20 minutes of the last, and looks at the key in every request anyway.
    """
    return DatabaseTokenStore(row) if service is PushService.APNS else MemoryTokenStore()


def _check_fcm(provider: Provider) -> _Finding:
    request = _request(provider, AndroidNotification(title="", text="Credential check"), _FCM_TOKEN)
    request = replace(request, body=b'{"validate_only":true,' + request.body[1:])
    return _judge(provider.push_service, provider.parse(_ask(provider, request)))


def _check_apns(provider: Provider) -> _Finding:
    request = _request(provider, IosNotification(body="Credential check"), _APNS_TOKEN)
    return _judge(provider.push_service, provider.parse(_ask(provider, request)))


def _check_wns(_provider: Provider) -> _Finding:
    return _Finding(True, "WNS gave an access token for this package SID and secret.")


def _check_web_push(credential: WebPushCredential) -> _Finding:
    probe = b"clarion"
    signature = credential.private_key.sign(probe, ECDSA(SHA256()))
    try:
        credential.private_key.public_key().verify(signature, probe, ECDSA(SHA256()))
    except InvalidSignature:
        return _Finding(False, "The VAPID key does not sign.")
    return _Finding(True, f"The VAPID key signs, and the contact is {credential.subject}. Nothing was sent.")


_CHECKS: dict[PushService, Callable[[Provider], _Finding]] = {
    PushService.FCM: _check_fcm,
    PushService.APNS: _check_apns,
    PushService.WNS: _check_wns,
}


def _request(provider: Provider, notification: Notification, token: str) -> HttpRequest:
    return provider.prepare(notification, _ENVELOPE).request(0, Target(0, token))


def _ask(provider: Provider, request: HttpRequest) -> HttpAnswer:
    provider.transport.submit(request)
    # The deadline of the rules ends the wait: every request gets its answer or a failure.
    while True:
        for answer in provider.transport.poll(_DEADLINE_S):
            return answer


def _judge(service: PushService, outcome: PushOutcome) -> _Finding:
    words = f"{outcome.reason}. {outcome.detail}".strip(" .")
    if outcome.kind in _TOKEN_REFUSED:
        return _Finding(True, f"{service.label} accepts the credential.")
    if outcome.reason == TransportFailure.TLS.value:
        return _Finding(None, f"No TLS connection to {service.label} can be trusted: {outcome.detail}.")
    if outcome.kind in _CREDENTIAL_REFUSED:
        return _Finding(False, f"{service.label} refuses the credential: {words}.")
    return _Finding(None, f"{service.label} could not be asked: {words}.")
