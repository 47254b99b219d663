from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from messaging.providers.curl_transport import CurlTransport
from messaging.providers.transport_rules import TransportRules
from tests.messaging.h2_server import Certificate
from tests.messaging.transport_parts import post


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
