"""One provider per credential and process: connections and access tokens live as long as the worker.

Apple treats quick reconnects as an attack, and a TLS handshake costs as much as a hundred pushes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.conf import settings

from devices.models import Application
from devices.push_services import PushService
from devices.push_urls import DEFAULT_ALLOWED_SUFFIXES
from messaging.access_tokens import DatabaseTokenStore
from messaging.models import Occurrence, ProviderCredential
from messaging.providers.base import CredentialFault, Envelope, Prepared, Provider
from messaging.providers.registry import ProviderEndpoints, make_provider
from messaging.publishing import render_for, request_of
from messaging.secrets import SecretUnreadable, read_credential

#: written by `simulate_providers` when its ports are open
SIMULATOR_FILE = "simulators.json"

_providers: dict[tuple[int, PushService], tuple[int, Provider]] = {}
_prepared: dict[tuple[int, PushService, int], Prepared] = {}
_PREPARED_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Sender:
    """A provider and the notification it sends for one occurrence."""

    provider: Provider
    prepared: Prepared


def sender_for(occurrence_id: int, application_pk: int, push_service: PushService) -> Sender:
    """Raises CredentialFault, ProviderUnavailable, PayloadTooLarge, messaging.errors.InvalidPushHeader."""
    provider = provider_for(application_pk, push_service)
    provider.authorize()
    key = (occurrence_id, push_service, id(provider))
    if key not in _prepared:
        if len(_prepared) >= _PREPARED_LIMIT:
            _prepared.clear()
        _prepared[key] = _prepare(occurrence_id, push_service, provider)
    return Sender(provider, _prepared[key])


def provider_for(application_pk: int, push_service: PushService) -> Provider:
    """This process's provider, rebuilt when the credential was changed. Raises CredentialFault."""
    row = (
        ProviderCredential.objects.select_related("application")
        .filter(application=application_pk, push_service=push_service)
        .first()
    )
    if row is None:
        raise CredentialFault(f"No credential for {push_service.label} has been set.")
    version, provider = _providers.get((application_pk, push_service), (0, None))
    if provider is None or version != row.version:
        if provider is not None:
            provider.transport.close()  # Apple: after a key was revoked, close every connection
        provider = _new_provider(row, push_service)
        _providers[application_pk, push_service] = (row.version, provider)
    return provider


def _new_provider(row: ProviderCredential, push_service: PushService) -> Provider:
    try:
        values = read_credential(row)
    except SecretUnreadable as error:
        raise CredentialFault(str(error)) from error
    return make_provider(push_service, values, endpoints_of(row.application), DatabaseTokenStore(row))


def endpoints_of(application: Application) -> ProviderEndpoints:
    """Where an application's pushes go: the built-in simulators, or the push services of the settings.

    Raises CredentialFault when the simulators are not running.
    """
    if application.is_simulated:
        return _simulated_endpoints()
    return ProviderEndpoints(
        fcm_url=settings.FCM_URL,
        google_token_url=settings.GOOGLE_TOKEN_URL,
        apns_url=settings.APNS_URL,
        apns_sandbox_url=settings.APNS_SANDBOX_URL,
        wns_token_url=settings.WNS_TOKEN_URL,
        ca_file=settings.PROVIDER_CA_FILE or None,
        allow_loopback=settings.ALLOW_LOOPBACK_PUSH,
        allowed_suffixes=(*DEFAULT_ALLOWED_SUFFIXES, *settings.PUSH_HOSTS),
    )


def _simulated_endpoints() -> ProviderEndpoints:
    path = settings.DATA_DIR / SIMULATOR_FILE
    try:
        urls = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CredentialFault(
            "The provider simulators are not running: start `manage.py simulate_providers`."
        ) from error
    return ProviderEndpoints(
        fcm_url=urls["fcm"],
        google_token_url=urls["google_token"],
        apns_url=urls["apns"],
        apns_sandbox_url=urls["apns_sandbox"],
        wns_token_url=urls["wns_token"],
        ca_file=urls["ca_file"],
        allow_loopback=True,
    )


def _prepare(occurrence_id: int, push_service: PushService, provider: Provider) -> Prepared:
    occurrence = Occurrence.objects.select_related("message__application").get(pk=occurrence_id)
    message = occurrence.message
    notification = render_for(request_of(message), message.application, push_service, message.wire_id)
    return provider.prepare(notification, Envelope(message_id=message.wire_id, occurrence_id=occurrence_id))
