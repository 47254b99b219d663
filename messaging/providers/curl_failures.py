"""Tell from libcurl's error why a request has no answer, above all whether it may have been processed."""

from __future__ import annotations

import pycurl

from messaging.providers.base import TransportFailure

_NOT_CONNECTED = frozenset(
    {pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT, pycurl.E_URL_MALFORMAT}
)
_TLS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
    }
)
_BROKEN = frozenset({pycurl.E_SEND_ERROR, pycurl.E_SEND_FAIL_REWIND, pycurl.E_RECV_ERROR, pycurl.E_HTTP2})
#: libcurl reports a connection that broke during the handshake as a TLS error; nothing is wrong with the certificate.
_BROKEN_HANDSHAKE = ("SYSCALL", "reset by peer", "Recv failure", "Send failure", "unexpected eof")
#: libcurl's words when it would like to repeat a refused request and cannot, as its body is not rewindable. Where the
#: connection broke instead, the words of that error came first and stay.
_REFUSED = "necessary data rewind"


def is_refused(code: int, words: str) -> bool:
    """Whether the server refused the request unprocessed (GOAWAY below its stream, REFUSED_STREAM)."""
    return code == pycurl.E_SEND_FAIL_REWIND and _REFUSED in words


def is_broken(code: int) -> bool:
    """Whether the connection broke that the request was to leave on, or its answer to come."""
    return code in _BROKEN


def classify_failure(code: int, words: str, *, was_sent: bool, forbidden: bool) -> TransportFailure:
    """The failure behind libcurl's error `code` and `words`.

    `was_sent`: bytes of the request left; `forbidden`: an address was refused while connecting.
    """
    if code in _TLS:
        broken = any(sign in words for sign in _BROKEN_HANDSHAKE)
        return TransportFailure.NOT_SENT if broken else TransportFailure.TLS
    if forbidden and not was_sent:
        return TransportFailure.FORBIDDEN_ADDRESS
    if code in _NOT_CONNECTED or not was_sent or is_refused(code, words):
        return TransportFailure.NOT_SENT
    return TransportFailure.IN_DOUBT
