"""Clients that judge the simulators: libcurl for requests, hyper-h2 for single frames."""

from __future__ import annotations

import io
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pycurl
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event
from py_vapid import Vapid
from pywebpush import WebPusher

from messaging.simulators.accounts import demo_accounts
from messaging.simulators.runner import SimulatorHandle, start_in_thread
from messaging.simulators.signed_tokens import to_base64url

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOAST = "<toast><visual><binding template='ToastText01'><text id='1'>Hi &amp; bye</text></binding></visual></toast>"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


@dataclass
class Response:
    """What came back; status 0 and curl's error number when nothing did."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    curl_error: int = 0

    def json(self) -> dict:
        return json.loads(self.body)


class Client:
    """Sends to running simulators with their demo accounts; keyword arguments change a correct request."""

    def __init__(self, simulators: SimulatorHandle, data_dir: Path) -> None:
        self.simulators = simulators
        self.urls = simulators.urls
        self.accounts = demo_accounts(data_dir, simulators.urls)
        self._access_tokens: dict[str, str] = {}

    def post(self, url: str, headers: dict[str, str | None], body: bytes = b"", **options: object) -> Response:
        return self.request("POST", url, headers, body, **options)

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str | None] | None = None,
        body: bytes = b"",
        *,
        http1: bool = False,
        timeout_s: float = 5,
    ) -> Response:
        received, lines, curl = io.BytesIO(), [], pycurl.Curl()
        curl.setopt(curl.URL, url)
        curl.setopt(curl.CAINFO, self.simulators.ca_file)
        version = pycurl.CURL_HTTP_VERSION_1_1 if http1 else pycurl.CURL_HTTP_VERSION_2_0
        curl.setopt(curl.HTTP_VERSION, version)
        if method == "HEAD":
            curl.setopt(curl.NOBODY, True)
        elif method == "POST":
            curl.setopt(curl.POSTFIELDS, body)
        curl.setopt(curl.CUSTOMREQUEST, method)
        # "Name:" takes a header of curl's own away
        raw = [f"{name}:" if value is None else f"{name}: {value}" for name, value in (headers or {}).items()]
        curl.setopt(curl.HTTPHEADER, raw if headers and "expect" in headers else [*raw, "Expect:"])
        curl.setopt(curl.WRITEDATA, received)
        curl.setopt(curl.HEADERFUNCTION, lines.append)
        curl.setopt(curl.TIMEOUT_MS, int(timeout_s * 1000))
        try:
            curl.perform()
            pairs = [line.decode("latin-1").strip().partition(": ") for line in lines if b": " in line]
            answered = {name.lower(): value for name, _, value in pairs}
            return Response(curl.getinfo(curl.RESPONSE_CODE), answered, received.getvalue())
        except pycurl.error as error:
            return Response(0, curl_error=error.args[0])
        finally:
            curl.close()

    def form(self, url: str, **fields: str) -> Response:
        return self.post(url, {"content-type": "application/x-www-form-urlencoded"}, urlencode(fields).encode())

    def google_token(self, key: str = "", grant_type: str = JWT_GRANT, **claims: object) -> Response:
        account, now = self.accounts["fcm"], int(time.time())
        usual = {"iss": account["client_email"], "scope": SCOPE, "aud": self.urls["google_token"]}
        assertion = sign(
            {"alg": "RS256"}, {**usual, "iat": now, "exp": now + 3600, **claims}, key or account["private_key"]
        )
        return self.form(self.urls["google_token"], grant_type=grant_type, assertion=assertion)

    def wns_token(self, **fields: str) -> Response:
        account = self.accounts["wns"]
        usual = {"client_id": account["package_sid"], "client_secret": account["client_secret"]}
        return self.form(
            self.urls["wns_token"],
            **{"grant_type": "client_credentials", "scope": "notify.windows.com", **usual, **fields},
        )

    def access_token(self, service: str) -> str:
        if service not in self._access_tokens:
            answer = self.google_token() if service == "fcm" else self.wns_token()
            self._access_tokens[service] = answer.json()["access_token"]
        return self._access_tokens[service]

    def send_fcm(self, content: object, *, project: str = "clarion-demo", **headers: str | None) -> Response:
        usual = {"authorization": f"Bearer {self.access_token('fcm')}", "content-type": "application/json"}
        url = f"{self.urls['fcm']}/v1/projects/{project}/messages:send"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.post(url, {**usual, **_dashed(headers)}, body)

    def fcm_to(self, token: str) -> Response:
        return self.send_fcm({"message": {"token": token, "data": {"message": "hello"}}})

    def provider_token(self, *, key: str = "", kid: str = "", **claims: object) -> str:
        account = self.accounts["apns"]
        header = {"alg": "ES256", "kid": kid or account["key_id"]}
        return sign(header, {"iss": account["team_id"], "iat": int(time.time()), **claims}, key or account["key"])

    def apns_headers(self, **headers: str | None) -> dict[str, str | None]:
        usual = {"authorization": f"bearer {self.provider_token()}", "apns-topic": self.accounts["apns"]["topic"]}
        return {**usual, "apns-push-type": "alert", **_dashed(headers)}

    def send_apns(self, token: str, payload: object = None, **headers: str | None) -> Response:
        content = {"aps": {"alert": "hello"}} if payload is None else payload
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.post(f"{self.urls['apns']}/3/device/{token}", self.apns_headers(**headers), body)

    def send_wns(self, channel: str, xml: str = "", *, http1: bool = False, **headers: str | None) -> Response:
        usual = {"authorization": f"Bearer {self.access_token('wns')}", "content-type": "text/xml"}
        content = xml or TOAST
        sent = {**usual, "x-wns-type": "wns/toast", **_dashed(headers)}
        return self.post(channel, sent, content.encode(), http1=http1)

    def vapid(self, *, key: str = "", **claims: object) -> str:
        usual = {"sub": "mailto:ops@clarion.example", "aud": self.urls["webpush"], "exp": int(time.time()) + 3600}
        signer = Vapid.from_raw((key or self.accounts["webpush"]["private_key"]).encode())
        return signer.sign({**usual, **claims})["Authorization"]

    def send_webpush(
        self, subscription: dict, plaintext: bytes = b'{"title":"hello"}', **headers: str | None
    ) -> Response:
        body = bytes(WebPusher(subscription).encode(plaintext, content_encoding="aes128gcm")["body"])
        return self.send_webpush_body(subscription, body, **headers)

    def send_webpush_body(self, subscription: dict, body: bytes, **headers: str | None) -> Response:
        usual = {"authorization": self.vapid(), "ttl": "60", "content-encoding": "aes128gcm"}
        return self.post(subscription["endpoint"], {**usual, **_dashed(headers)}, body)

    def subscription(self, n: int, behaviour: str = "") -> dict:
        return json.loads(self.simulators.token("webpush", n, behaviour))


class FrameClient:
    """One HTTP/2 connection to APNs whose frames the test sees."""

    def __init__(self, client: Client) -> None:
        url = urlsplit(client.urls["apns"])
        context = ssl.create_default_context(cafile=client.simulators.ca_file)
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", url.port), timeout=5)
        self._socket = context.wrap_socket(raw, server_hostname="localhost")
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._client, self._authority = client, url.netloc
        self.events: list[Event] = []
        self.is_closed = False
        self.h2.initiate_connection()
        self._flush()

    def open(self, token: str, **headers: str) -> int:
        """Queue a push; `flush` or `wait_for` sends it."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = {":method": "POST", ":scheme": "https", ":authority": self._authority, ":path": f"/3/device/{token}"}
        self.h2.send_headers(stream, list({**pseudo, **self._client.apns_headers(**headers)}.items()))
        self.h2.send_data(stream, b'{"aps":{"alert":"hello"}}', end_stream=True)
        return stream

    def wait_for(self, kind: type[Event], count: int = 1) -> list:
        """Read until `count` events of a kind came in, or the server closed."""
        self._flush()
        while len(self.of(kind)) < count and not self.is_closed:
            self._read()
        return self.of(kind)

    def wait_for_close(self) -> None:
        self._flush()
        while not self.is_closed:
            self._read()

    def of(self, kind: type[Event]) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(65_536)
        self.is_closed = not data
        self.events += self.h2.receive_data(data)
        self._flush()

    def _flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.is_closed:
            self._socket.sendall(data)


@contextmanager
def running_simulators(data_dir: Path) -> Iterator[Client]:
    """Simulators in a thread, and a client for them."""
    simulators = start_in_thread(data_dir)
    try:
        yield Client(simulators, data_dir)
    finally:
        simulators.stop()


def sign(header: dict[str, object], claims: dict[str, object], pem: str) -> str:
    """A compact JWT by the PEM's key."""
    key = load_pem_private_key(pem.encode(), None)
    signed = ".".join(to_base64url(json.dumps(part).encode()) for part in (header, claims))
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{to_base64url(signature)}"


def _dashed(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
