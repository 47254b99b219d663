from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

from messaging.providers.base import TransportFailure
from messaging.providers.curl_transport import CurlTransport
from messaging.providers.transport_rules import TransportRules
from tests.messaging.h2_server import Certificate, H2Server
from tests.messaging.stage import wait_until
from tests.messaging.transport_parts import paths, post


def test_http1_server_gets_content_length_and_its_reason_phrase_is_kept(
    certificate: Certificate, rules: TransportRules
) -> None:
    transport = CurlTransport(rules)
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            seen.append({name.lower(): text for name, text in self.headers.items()})
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(410, "Domain Blocked")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as http_server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.file, certificate.key_file)
        http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
        thread = threading.Thread(target=http_server.handle_request)
        thread.start()
        answer = post(transport, f"https://localhost:{http_server.server_port}", "/")[0]
        transport.close()
        thread.join(5)

    assert (answer.status, answer.headers[":reason"]) == (410, "Domain Blocked")
    assert "content-length" in seen[0]
    assert {"expect", "transfer-encoding"}.isdisjoint(seen[0])


def close_idle_connection(server: H2Server) -> None:
    """In good order, without a GOAWAY, when nothing is on its way."""
    server.call_soon(server.opened[-1].hang_up)


def test_what_certainly_did_not_leave_is_sent_again_at_once(server: H2Server, rules: TransportRules) -> None:
    transport = CurlTransport(rules)
    for number in range(10):
        post(transport, server.url, "/first")
        close_idle_connection(server)
        answers = post(transport, server.url, *(f"/{number}/{n}" for n in range(5))).values()
        assert {answer.failure for answer in answers} <= {None, TransportFailure.IN_DOUBT}
    transport.close()

    # on a busy machine the server's farewell may cross every request: then none of them arrived
    assert max(Counter(path for path in server.paths if path != "/first").values(), default=0) <= 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(server: H2Server, rules: TransportRules) -> None:
    transport = CurlTransport(replace(rules, reused_within_s=1))
    post(transport, server.url, "/first")
    close_idle_connection(server)
    idle_until = time.monotonic() + 2.1  # libcurl counts whole seconds
    wait_until(lambda: time.monotonic() > idle_until, 3, "the connection to be old")

    answers = post(transport, server.url, *paths(5))
    transport.close()

    assert [answer.status for answer in answers.values()] == [200] * 5
