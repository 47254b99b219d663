"""The gate for URLs that devices supply (Web Push endpoints, WNS channels): known push services on public hosts only.

A device's URL makes this server connect somewhere, so it is parsed once, rebuilt from its parts, and only the rebuilt
form is stored and sent; parsers that disagree about a hostile spelling never see it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

MAX_URL_LENGTH = 2048
#: `*.` stands for one label or more.
DEFAULT_ALLOWED_SUFFIXES = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1"})
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]!$&'()*+,;=%]+")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
#: Protocol assignments and the 6to4 relay: is_global counts some of them as public.
_IETF_IPV4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = IPv6Network("::/96")


class InvalidPushUrl(ValueError):
    """The URL may not be stored or sent to."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The push URL {reason}.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PushUrlPolicy:
    """Which hosts a device may name; settable by administrators only."""

    allowed_suffixes: tuple[str, ...] = DEFAULT_ALLOWED_SUFFIXES
    allow_loopback: bool = False  #: simulators: localhost and 127.0.0.1, any port

    def allows(self, host: str) -> bool:
        """Whether `host` (lower case) is on the list, compared label by label."""
        return any(
            host.endswith(suffix[1:]) if suffix.startswith("*.") else host == suffix for suffix in self.allowed_suffixes
        )


def canonical_push_url(url: str, policy: PushUrlPolicy) -> str:
    """The one spelling of `url` to store and send to. Raises InvalidPushUrl."""
    if len(url) > MAX_URL_LENGTH:
        raise InvalidPushUrl(f"is longer than {MAX_URL_LENGTH} characters")
    # Rules out control characters, space, backslash, @ (userinfo), quotes and everything beyond ASCII.
    if not _URL_CHARACTERS.fullmatch(url):
        raise InvalidPushUrl("holds a character that is not allowed")
    if _is_canonical(url, policy):
        return url
    return _rebuilt(url, policy)


def _is_canonical(url: str, policy: PushUrlPolicy) -> bool:
    """Whether it certainly is, as nearly every stored URL: taking each apart anew costs 10 us, a twelfth of a push."""
    end = url.find("/", len("https://"))
    # What follows the first slash is kept as it is, but for a fragment and a question mark without a query.
    return end > 0 and "#" not in url and url[-1] != "?" and _is_canonical_origin(url[:end], policy)


@lru_cache(maxsize=1000)
def _is_canonical_origin(origin: str, policy: PushUrlPolicy) -> bool:
    try:
        return _rebuilt(f"{origin}/", policy) == f"{origin}/"
    except InvalidPushUrl:
        return False


def _rebuilt(url: str, policy: PushUrlPolicy) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidPushUrl("cannot be parsed") from error
    if parts.scheme != "https":
        raise InvalidPushUrl("must begin with https://")
    return _rebuild(parts, _checked_authority(host, port, policy))


def is_public_address(address: str | IPv4Address | IPv6Address) -> bool:
    """Whether a connection to this address leaves for the public internet.

    `ipaddress.is_global` alone is True for multicast and for private addresses wrapped in NAT64, 6to4 or
    v4-compatible notation (Python 3.11.7), so the inner address is judged.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        inner = _inner_ipv4(parsed)
        if inner is None:
            return parsed.is_global and not parsed.is_multicast and parsed in _GLOBAL_UNICAST
        parsed = inner
    if parsed.is_multicast or parsed.is_reserved or any(parsed in network for network in _IETF_IPV4):
        return False
    return parsed.is_global


def _checked_authority(host: str, port: int | None, policy: PushUrlPolicy) -> str:
    if policy.allow_loopback and host in _LOOPBACK_HOSTS:
        return host if port in (None, 443) else f"{host}:{port}"
    if port not in (None, 443):
        raise InvalidPushUrl("must use port 443")
    # The last label must begin with a letter, so every spelling of an IPv4 literal (0x7f.1, 2130706433) fails too.
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise InvalidPushUrl("must name its host by a full domain name")
    if not policy.allows(host):
        raise InvalidPushUrl(f"names {host}, which is not a push service this server sends to")
    return host


def _rebuild(parts: SplitResult, authority: str) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return f"https://{authority}{parts.path or '/'}{query}"


def _inner_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address a translator or tunnel would forward to, if this is such an address."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address in _NAT64 or address in _V4_COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
