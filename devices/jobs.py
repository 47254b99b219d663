"""Background jobs of the devices layer; `messaging.queue` names them."""

from __future__ import annotations

from devices import app_users, registration


def expire_registrations() -> int:
    """Mark registrations whose expiration has passed; forget logins that have."""
    app_users.forget_expired()
    return registration.expire_due()
