from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import time

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from devices.push_services import PushService
from messaging.providers.base import CredentialFault, Provider, ProviderUnavailable
from messaging.providers.credentials import AccessToken, FcmCredential, MemoryTokenStore, TokenStore, token_kind
from messaging.providers.fcm import FcmProvider
from messaging.providers.registry import ProviderEndpoints, make_provider
from messaging.providers.wns import WnsProvider
from tests.messaging.h2_server import Certificate, H2Server, Request, make_certificate
from tests.messaging.provider_parts import fcm_json, jwt_parts, query_of, wns_json


def grant(request: Request) -> None:
    """A token endpoint that numbers its tokens."""
    count = len(request.connection.server.requests)
    request.answer(200, json.dumps({"access_token": f"token-{count}", "expires_in": 3600}).encode())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate: Certificate) -> Iterator[H2Server]:
    server = H2Server(certificate, grant).start()
    yield server
    server.stop()


@pytest.fixture
def endpoints(server: H2Server) -> ProviderEndpoints:
    return ProviderEndpoints(
        google_token_url=f"{server.url}/token",
        wns_token_url=f"{server.url}/accesstoken.srf",
        ca_file=server.certificate.file,
        allow_loopback=True,
    )


@pytest.fixture
def made() -> Iterator[list[Provider]]:
    providers: list[Provider] = []
    yield providers
    for provider in providers:
        provider.transport.close()


def fcm(endpoints: ProviderEndpoints, store: TokenStore, made: list[Provider]) -> FcmProvider:
    provider = make_provider(PushService.FCM, fcm_json(), endpoints, store)
    made.append(provider)
    assert isinstance(provider, FcmProvider)
    return provider


def wns(endpoints: ProviderEndpoints, store: TokenStore, made: list[Provider]) -> WnsProvider:
    provider = make_provider(PushService.WNS, wns_json(), endpoints, store)
    made.append(provider)
    assert isinstance(provider, WnsProvider)
    return provider


def test_google_gets_a_signed_assertion_at_the_pinned_address(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    provider = fcm(endpoints, MemoryTokenStore(), made)
    provider.authorize()

    request = server.requests[0]
    form = query_of(request.body)
    header, claims, signature, signed = jwt_parts(form["assertion"])
    assert request.path == "/token"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (header["alg"], header["kid"]) == ("RS256", "abc123")
    assert claims["iss"] == "push@demo-project.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert claims["aud"] == endpoints.google_token_url
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time()) < 5
    key = FcmCredential.from_json(fcm_json()).private_key.public_key()
    key.verify(signature, signed, PKCS1v15(), SHA256())
    assert provider.header_lines[0] == "authorization: Bearer token-1"


def test_microsoft_gets_client_credentials(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    wns(endpoints, MemoryTokenStore(), made).authorize()

    assert query_of(server.requests[0].body) == {
        "grant_type": "client_credentials",
        "client_id": "ms-app://s-1-15-2-1",
        "client_secret": "very-secret",
        "scope": "notify.windows.com",
    }


def test_fresh_token_is_used_without_asking(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    store = MemoryTokenStore()
    for _ in range(3):
        fcm(endpoints, store, made).authorize()

    assert len(server.requests) == 1


def test_threads_that_need_a_token_at_once_get_one(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    store = MemoryTokenStore()
    providers = [fcm(endpoints, store, made) for _ in range(8)]
    threads = [threading.Thread(target=provider.authorize) for provider in providers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert {provider.header_lines[0] for provider in providers} == {"authorization: Bearer token-1"}
    assert len(server.requests) == 1


@pytest.mark.parametrize(("life_used", "is_renewed"), [(0.79, False), (0.81, True), (1.5, True)])
def test_token_is_renewed_at_80_percent_of_its_life(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider], life_used: float, is_renewed: bool
) -> None:
    store = MemoryTokenStore()
    issued_at = datetime.now(UTC) - timedelta(hours=1) * life_used
    old = AccessToken("old", issued_at, issued_at + timedelta(hours=1))
    kind = token_kind("fcm", fcm_json()["client_email"], fcm_json()["private_key_id"])
    store.renew(kind, lambda _stored: old)

    provider = fcm(endpoints, store, made)
    provider.authorize()

    assert (provider.header_lines[0] == "authorization: Bearer token-1") is is_renewed


def test_refused_token_is_replaced_once_for_all(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    store = MemoryTokenStore()
    first, second = fcm(endpoints, store, made), fcm(endpoints, store, made)
    first.authorize()
    second.authorize()

    first.authorize(refused=True)
    second.authorize(refused=True)

    assert first.header_lines == second.header_lines
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":"invalid_grant","error_description":"Invalid JWT: iat and exp"}'),
        (401, b'{"error":"invalid_client"}'),
        (403, b"<html>no</html>"),
        (302, b""),
    ],
)
def test_refused_credential_is_a_credential_fault(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider], status: int, body: bytes
) -> None:
    server.behaviour = lambda request: request.answer(status, body, {"location": f"{server.url}/elsewhere"})

    with pytest.raises(CredentialFault) as caught:
        fcm(endpoints, MemoryTokenStore(), made).authorize()

    assert "push@demo-project" in str(caught.value)
    assert len(server.requests) == 1


def test_invalid_grant_points_to_the_clock(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    server.behaviour = lambda request: request.answer(400, b'{"error":"invalid_grant"}')

    with pytest.raises(CredentialFault, match="clock"):
        fcm(endpoints, MemoryTokenStore(), made).authorize()


def test_secret_is_not_in_the_words_of_a_refusal(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    server.behaviour = lambda request: request.answer(400, b'{"error":"invalid_client"}')

    with pytest.raises(CredentialFault) as caught:
        wns(endpoints, MemoryTokenStore(), made).authorize()

    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "retry_after_s"),
    [(429, b"", 20.0), (500, b"", 20.0), (503, b"<html>", 20.0), (200, b"<html>", None), (200, b"{}", None)]
    + [(200, b'{"access_token":"a\\r\\nb"}', None), (200, b'{"access_token":7}', None)],
)
def test_unusable_answer_is_unavailable(
    server: H2Server,
    endpoints: ProviderEndpoints,
    made: list[Provider],
    status: int,
    body: bytes,
    retry_after_s: float | None,
) -> None:
    server.behaviour = lambda request: request.answer(status, body, {"retry-after": "20"})

    with pytest.raises(ProviderUnavailable) as caught:
        fcm(endpoints, MemoryTokenStore(), made).authorize()

    assert caught.value.retry_after_s == retry_after_s


def test_unreachable_token_endpoint_is_unavailable(
    server: H2Server, endpoints: ProviderEndpoints, made: list[Provider]
) -> None:
    server.behaviour = lambda request: request.connection.drop()

    with pytest.raises(ProviderUnavailable):
        fcm(endpoints, MemoryTokenStore(), made).authorize()
