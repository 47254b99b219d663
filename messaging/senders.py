"""One provider per credential and process: connections and access tokens live as long as the worker.

Apple treats quick reconnects as an attack, and a TLS handshake costs as much as a hundred pushes.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from devices.models import Application
from devices.push_services import PushService
from devices.push_urls import DEFAULT_ALLOWED_SUFFIXES
from messaging.access_tokens import DatabaseTokenStore
from messaging.batches import ClaimedBatch
from messaging.models import Occurrence, ProviderCredential
from messaging.personalisation import Personalised, personalised
from messaging.providers.base import CredentialFault, Envelope, Prepared, Provider
from messaging.providers.registry import ProviderEndpoints, make_provider
from messaging.publishing import render_for, request_of
from messaging.secrets import SecretUnreadable, read_credential

#: written by `simulate_providers` when its ports are open
SIMULATOR_FILE = "simulators.json"

_providers: dict[tuple[int, PushService], tuple[int, Provider]] = {}
_prepared: dict[tuple[int, PushService, int], Prepared] = {}
#: replaced by one with a newer credential, closed once their last requests are answered
_retired: list[Provider] = []
_PREPARED_LIMIT = 256
#: four weeks: FCM's limit and the vendor's default
LONGEST_LIFE_S = 2_419_200


@dataclass(frozen=True, slots=True)
class Sender:
    """A provider and the notification it sends for one occurrence."""

    provider: Provider
    prepared: Prepared

    def for_devices(self, registration_ids: Collection[int]) -> Sender:
        """The sender for these devices: itself, unless the notification differs between them."""
        if isinstance(self.prepared, Personalised):
            return Sender(self.provider, self.prepared.for_devices(registration_ids))
        return self


def sender_for(batch: ClaimedBatch) -> Sender:
    """Raises CredentialFault, ProviderUnavailable, PayloadTooLarge, messaging.errors.InvalidPushHeader."""
    provider = provider_for(batch.application_pk, batch.push_service)
    provider.authorize()
    if batch.life_s is not None:
        # what is left to live differs from batch to batch, and goes out with every request
        return Sender(provider, _prepare(batch, provider))
    key = (batch.occurrence_id, batch.push_service, id(provider))
    if key not in _prepared:
        if len(_prepared) >= _PREPARED_LIMIT:
            _prepared.clear()
        _prepared[key] = _prepare(batch, provider)
    return Sender(provider, _prepared[key])


def provider_for(application_pk: int, push_service: PushService) -> Provider:
    """This process's provider, rebuilt when the credential was changed. Raises CredentialFault."""
    version, provider = _providers.get((application_pk, push_service), (0, None))
    if provider is None or version != _credential_version(application_pk, push_service):
        row = (
            ProviderCredential.objects.select_related("application")
            .filter(application=application_pk, push_service=push_service)
            .first()
        )
        if row is None:
            raise CredentialFault(f"No credential for {push_service.label} has been set.")
        if provider is not None:
            _retired.append(provider)
            _prepared.clear()
        provider = _new_provider(row, push_service)
        _providers[application_pk, push_service] = (row.version, provider)
    _close_retired()
    return provider


def _credential_version(application_pk: int, push_service: PushService) -> int | None:
    """Asked for every batch: by the ORM it took a sixth of what a batch of one device costs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version FROM messaging_providercredential WHERE application_id = %s AND push_service = %s",
            [application_pk, push_service.value],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def _close_retired() -> None:
    """Apple: after a key was revoked, close every connection. Not before the answers are in: they would be lost."""
    for provider in [provider for provider in _retired if not provider.transport.in_flight]:
        _retired.remove(provider)
        provider.transport.close()


def discard(provider: Provider) -> None:
    """Close a provider whose requests get no answers; the next batch makes a new one."""
    for key in [key for key, (_, known) in _providers.items() if known is provider]:
        del _providers[key]
    if provider in _retired:
        _retired.remove(provider)
    _prepared.clear()
    provider.transport.close()


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


def _prepare(batch: ClaimedBatch, provider: Provider) -> Prepared:
    occurrence = Occurrence.objects.select_related("message__application").get(pk=batch.occurrence_id)
    message = occurrence.message
    request = request_of(message)
    ttl_s = LONGEST_LIFE_S if batch.life_s is None else min(LONGEST_LIFE_S, max(1, int(batch.life_s)))
    if request.template is not None and batch.push_service is PushService.FCM:
        ttl_s = min(ttl_s, request.template.ttl_s)
    envelope = Envelope(message_id=message.wire_id, occurrence_id=occurrence.pk, ttl_s=ttl_s)
    differing = personalised(request, message.application, provider, envelope)
    if differing is not None:
        return differing
    return provider.prepare(render_for(request, message.application, batch.push_service, message.wire_id), envelope)
