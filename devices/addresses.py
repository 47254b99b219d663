"""Whose requests are counted together where limits go by address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


def network_of(address: str) -> str:
    """An IPv4 address as it is; of an IPv6 address the /64, which is what one customer has."""
    return _of_ipv6(address) if ":" in address else address


@lru_cache(maxsize=4096)
def _of_ipv6(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8].hex()
