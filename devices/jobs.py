"""Background jobs of the devices layer; `messaging.queue` names them."""

from __future__ import annotations

from devices import registration


def expire_registrations() -> int:
    """Mark registrations whose expiration has passed."""
    return registration.expire_due()
