"""The REST API as a client sees it: JSON in, status and JSON out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.console.static_files import serve_uncollected
from tests.factories import ApiAccount, make_account


@dataclass(frozen=True, slots=True)
class Api:
    """Calls with the key that may do everything, or with the one shipped in apps."""

    account: ApiAccount
    client: Client

    def call(
        self, method: str, path: str, body: object = None, *, as_client: bool = False, **headers: str
    ) -> tuple[int, Any]:
        """`body` as JSON (text and bytes as they are) to `path` below the prefix; the answer's status and JSON."""
        prefix = self.account.client_prefix if as_client else self.account.prefix
        raw = body if isinstance(body, str | bytes) else json.dumps(body)
        content = {} if body is None else {"data": raw, "content_type": "application/json"}
        response = self.client.generic(method, f"{prefix}{path}", **content, headers=headers)
        return response.status_code, json.loads(response.content)

    def post(self, path: str, body: object, **options: Any) -> tuple[int, Any]:
        """POST a JSON body."""
        return self.call("POST", path, body, **options)

    def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """GET."""
        return self.call("GET", path, **options)

    def delete(self, path: str, **options: Any) -> tuple[int, Any]:
        """DELETE."""
        return self.call("DELETE", path, **options)


@pytest.fixture(autouse=True)
def uncollected_static_files(settings: Settings, tmp_path: Path) -> None:
    """WhiteNoise warns when the folder that `collectstatic` fills is missing."""
    serve_uncollected(settings, tmp_path)


@pytest.fixture
def api(db: None) -> Api:
    """A fresh application's API."""
    return Api(make_account(), Client())
