"""The commands that make an application and its credentials, as scripts use them."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from messaging.models import ProviderCredential
from tests.factories import make_application

pytestmark = pytest.mark.django_db


def _run(*arguments: object) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def _publish(made: dict[str, Any], key: str) -> int:
    address = f"/{made['applicationId']}/{made[key]}/messaging/default"
    return Client().post(address, {"message": "x"}, content_type="application/json").status_code


def test_create_application_prints_keys_that_work() -> None:
    made = json.loads(_run("create_application", "Shop", "--json"))

    assert set(made) == {"applicationId", "restApiKey", "clientApiKey"}
    assert (_publish(made, "restApiKey"), _publish(made, "clientApiKey")) == (200, 403)


def test_set_credential_stores_what_the_file_holds_and_prints_no_secret(tmp_path: Path) -> None:
    application = make_application()
    file = tmp_path / "wns.json"
    file.write_text(json.dumps({"package_sid": "ms-app://s-1-15-2-1", "client_secret": "very-secret"}))

    printed = _run("set_credential", str(application.application_id), "wns", str(file))

    row = ProviderCredential.objects.get(application=application)
    assert row.push_service == "wns"
    assert b"very-secret" not in bytes(row.secret)
    assert "very-secret" not in printed


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"package_sid": 1}'])
def test_set_credential_says_what_is_wrong_with_the_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "wns.json"
    file.write_text(content)

    with pytest.raises(CommandError):
        _run("set_credential", str(make_application().application_id), "wns", str(file))


def test_set_credential_refuses_an_unknown_application(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no application"):
        _run("set_credential", str(uuid4()), "fcm", str(tmp_path / "none.json"))
