"""Where an application is reached, and what every request to it carries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from messaging.client.calls import Request, quoted


@dataclass(frozen=True, slots=True)
class Target:
    """One application on one server. Its key is shown by nothing."""

    url: str
    application_id: str
    host: str
    port: int | None
    prefix: str = field(repr=False)  #: what every path begins with; it holds the key
    user_token: str = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False)

    @classmethod
    def of(cls, url: str, application_id: str, api_key: str, user_token: str) -> Target:
        """Raises ValueError for what is no address, id or token."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("url must be http:// or https:// and a host.")
        if not (user_token.isascii() and user_token.isprintable()):
            raise ValueError("user_token takes printable ASCII characters.")
        prefix = f"{parts.path.rstrip('/')}/{quoted(application_id)}/{quoted(api_key)}/messaging/"
        context = None if parts.scheme == "http" else ssl.create_default_context()
        return cls(url, application_id, parts.hostname, parts.port, prefix, user_token, context)

    def headers(self, request: Request[object], body: bytes | None) -> Mapping[str, str]:
        """Of one request."""
        headers = {"Accept": "application/json", **request.headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.user_token:
            headers["user-token"] = self.user_token
        return headers

    def __str__(self) -> str:
        return f"{self.url!r}, {self.application_id!r}"
