"""Access tokens in the database, shared by every worker: one is made at a time, the others wait and use it."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from messaging.models import ProviderCredential, StoredAccessToken
from messaging.providers.credentials import AccessToken
from messaging.secrets import decrypt, encrypt


class DatabaseTokenStore:
    """`messaging.providers.credentials.TokenStore` over `StoredAccessToken`, for one credential."""

    def __init__(self, credential: ProviderCredential) -> None:
        self._credential_pk = credential.pk
        self._context = f"access-token/{credential.pk}"

    def get(self, kind: str) -> AccessToken | None:
        """The stored token of that kind, expired or not."""
        row = StoredAccessToken.objects.filter(credential_id=self._credential_pk, kind=kind).first()
        return None if row is None else self._read(row)

    def renew(self, kind: str, mint: Callable[[AccessToken | None], AccessToken]) -> AccessToken:
        """Store what `mint` makes of the present token. The credential's row lock makes it single flight."""
        with transaction.atomic():
            ProviderCredential.objects.select_for_update().get(pk=self._credential_pk)
            present = self.get(kind)
            token = mint(present)
            if token != present:
                StoredAccessToken.objects.update_or_create(
                    credential_id=self._credential_pk,
                    kind=kind,
                    defaults={
                        "value": encrypt(token.value.encode(), context=self._context),
                        "issued_at": token.issued_at,
                        "expires_at": token.expires_at,
                    },
                )
        return token

    def _read(self, row: StoredAccessToken) -> AccessToken:
        return AccessToken(
            value=decrypt(row.value, context=self._context).decode(),
            issued_at=row.issued_at,
            expires_at=row.expires_at,
        )
