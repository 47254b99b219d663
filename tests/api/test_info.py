"""`info` and `rt/lookup`: what an SDK asks before it opens a socket (contract.md 1)."""

from __future__ import annotations

from django.conf import settings

from tests.api.conftest import Api


def test_info_names_the_application_the_key_and_the_socket_address(api: Api) -> None:
    status, body = api.get("/info")

    assert status == 200
    assert body == {
        "appId": str(api.account.application.application_id).upper(),
        "apiKey": api.account.key,
        "rtURL": settings.RT_URL,
        "loggers": [],
    }


def test_the_key_of_an_app_gets_info_too(api: Api) -> None:
    status, body = api.get("/info", as_client=True)

    assert (status, body["apiKey"]) == (200, api.account.client_key)


def test_rt_lookup_is_a_json_string(api: Api) -> None:
    assert api.get("/rt/lookup") == (200, settings.RT_URL)


def test_info_of_a_wrong_key_is_error_2002(api: Api) -> None:
    response = api.client.get(f"/{api.account.application.application_id}/WRONG/info")

    assert (response.status_code, response.json()["code"]) == (401, 2002)


def test_info_takes_no_post(api: Api) -> None:
    status, body = api.post("/info", {})

    assert (status, body["code"]) == (405, 5905)
