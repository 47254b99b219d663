"""Who reaches what: every address of the console, as oneself, for another application, and signed out."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern

from console import page_urls
from console.pages_messages import TRIAL_PUBLISHER
from devices.models import Application
from devices.push_services import PushService
from messaging.models import Lane, ProviderCredential
from tests.console.rows import PASSWORD, address, make_message, make_sending
from tests.factories import make_api_key, make_application, make_registration

#: route below /apps/<id>/ -> method; a route that is missing here fails the test
ROUTES = {
    "": "get",
    "compose/": "get",
    "compose/preview/": "post",
    "compose/header-row/": "get",
    "compose/count/": "post",
    "compose/test/": "post",
    "compose/test/<uuid:message_id>/": "get",
    "compose/send/": "post",
    "messages/": "get",
    "messages/<uuid:message_id>/": "get",
    "messages/<uuid:message_id>/progress/": "get",
    "messages/<uuid:message_id>/deliveries/": "get",
    "messages/<uuid:message_id>/deliveries.csv": "get",
    "messages/<uuid:message_id>/confirm-cancel/": "get",
    "messages/<uuid:message_id>/cancel/": "post",
    "messages/<uuid:message_id>/edit/": "get",
    "messages/<uuid:message_id>/pause/": "post",
    "messages/<uuid:message_id>/resume/": "post",
    "messages/<uuid:message_id>/confirm-stop/": "get",
    "messages/<uuid:message_id>/stop/": "post",
    "messages/<uuid:message_id>/retry/": "post",
    "devices/": "get",
    "devices/counts/": "get",
    "devices/<int:registration_pk>/": "get",
    "devices/<int:registration_pk>/deactivate/": "get",
    "activity/": "get",
    "keys/": "get",
    "keys/<int:key_id>/revoke/": "get",
    "providers/": "get",
    "providers/lanes/<int:lane_id>/resume/": "post",
    "providers/<str:service>/pause/": "post",
    "providers/<str:service>/pace/": "post",
    "providers/<str:service>/check/": "post",
    "providers/<str:service>/credential/": "get",
}
#: pages for administrators; a member is refused
ADMINISTRATION = {"keys/", "keys/<int:key_id>/revoke/", "providers/<str:service>/credential/"}


WITH_IDS = [(route, method) for route, method in ROUTES.items() if "<int:" in route or "<uuid:" in route]
#: what only a person who may send can do
ACTIONS = [
    "messages/<uuid:message_id>/cancel/",
    "messages/<uuid:message_id>/pause/",
    "messages/<uuid:message_id>/resume/",
    "messages/<uuid:message_id>/stop/",
    "messages/<uuid:message_id>/retry/",
    "providers/lanes/<int:lane_id>/resume/",
    "providers/<str:service>/pause/",
    "providers/<str:service>/pace/",
    "providers/<str:service>/check/",
]


def filled_route(route: str, application: Application) -> str:
    """The route with ids of the application's own message, lane, device and key."""
    message = make_message(application, publisher_id=TRIAL_PUBLISHER if "test" in route else "")
    make_sending(message)
    lane, _ = Lane.objects.get_or_create(application=application, push_service=PushService.FCM)
    if "<str:service>" in route:
        defaults = {"secret": bytes(32), "fingerprint": "0" * 16}
        ProviderCredential.objects.get_or_create(
            application=application, push_service=PushService.FCM, defaults=defaults
        )
    ids = {
        "<uuid:message_id>": message.message_id,
        "<int:lane_id>": lane.pk,
        "<str:service>": "fcm",
        "<int:registration_pk>": make_registration(application).pk,
        "<int:key_id>": make_api_key(application)[0].pk,
    }
    for name, filled in ids.items():
        route = route.replace(name, str(filled))
    return route


def test_every_address_of_an_application_has_a_case() -> None:
    routes = {str(entry.pattern) for entry in page_urls.application_urls if isinstance(entry, URLPattern)}

    assert routes == set(ROUTES)


@pytest.mark.parametrize(("route", "method"), ROUTES.items())
def test_a_member_reaches_their_own_application(
    page: Client, application: Application, route: str, method: str
) -> None:
    response = getattr(page, method)(address(application, filled_route(route, application)))

    if route in ADMINISTRATION:
        assert response.status_code == 403
        return
    assert response.status_code in (200, 204, 302)
    assert not response.headers.get("Location", "").startswith("/login/")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("route", "method"), ROUTES.items())
def test_another_application_answers_as_if_absent(page: Client, db: None, route: str, method: str) -> None:
    other = make_application("Somebody else's")

    foreign = getattr(page, method)(address(other, filled_route(route, other)))
    absent = getattr(page, method)(f"/apps/{uuid4()}/{filled_route(route, other)}")

    assert foreign.status_code == absent.status_code == 404
    # the CSRF token is masked anew in every answer
    assert re.sub(rb"[A-Za-z0-9]{64}", b"", foreign.content) == re.sub(rb"[A-Za-z0-9]{64}", b"", absent.content)


@pytest.mark.parametrize(("route", "method"), WITH_IDS)
def test_ids_of_another_application_are_absent_in_ones_own(
    page: Client, application: Application, marketer: User, route: str, method: str
) -> None:
    User.objects.filter(pk=marketer.pk).update(is_superuser=route in ADMINISTRATION)
    foreign_ids = filled_route(route, make_application("Somebody else's"))

    assert getattr(page, method)(address(application, foreign_ids)).status_code == 404


@pytest.mark.parametrize(("route", "method"), ROUTES.items())
def test_a_stranger_is_asked_to_sign_in(client: Client, application: Application, route: str, method: str) -> None:
    response = getattr(client, method)(address(application, filled_route(route, application)))

    assert response.status_code == 302
    assert response["Location"].startswith("/login/?next=")


def test_a_person_who_may_not_send_cannot_steer_what_is_sent(
    page: Client, application: Application, marketer: User
) -> None:
    marketer.memberships.update(may_send=False)

    for route in ACTIONS:
        assert page.post(address(application, filled_route(route, application))).status_code == 403


@pytest.mark.parametrize("route", sorted(ADMINISTRATION))
def test_an_administrator_reaches_what_members_do_not(
    page: Client, application: Application, marketer: User, route: str
) -> None:
    User.objects.filter(pk=marketer.pk).update(is_superuser=True)

    assert page.get(address(application, filled_route(route, application))).status_code == 200


def test_a_post_without_csrf_token_is_refused(application: Application, marketer: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(marketer)

    assert browser.post(address(application, "compose/")).status_code == 403


def test_the_login_page_follows_next_on_this_host_only(client: Client, marketer: User) -> None:
    answer = client.post("/login/?next=https://evil.example/", {"username": "maria", "password": PASSWORD})

    assert answer["Location"] == "/"


def test_the_first_page_opens_the_first_application(page: Client, application: Application) -> None:
    assert page.get("/")["Location"] == address(application)


def test_an_idle_session_ends_after_an_hour(page: Client, application: Application) -> None:
    page.get(address(application))
    session = page.session
    session["seen_at"] = int(time.time()) - 3601
    session.save()

    assert page.get(address(application))["Location"].startswith("/login/")


def test_a_session_ends_after_twelve_hours_of_work(page: Client, application: Application) -> None:
    page.get(address(application))
    session = page.session
    session["began_at"] = int(time.time()) - 12 * 3600 - 1
    session.save()

    assert page.get(address(application))["Location"].startswith("/login/")


def test_polling_does_not_keep_a_session_alive(page: Client, application: Application) -> None:
    page.get(address(application))
    session = page.session
    session["seen_at"] = long_ago = int(time.time()) - 1800
    session.save()

    page.get(address(application), headers={"HX-Request": "true"})
    assert page.session["seen_at"] == long_ago
    page.get(address(application))
    assert page.session["seen_at"] > long_ago


def test_a_fragment_of_an_ended_session_moves_the_page_to_the_login(client: Client, application: Application) -> None:
    answer = client.get(
        address(application),
        headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{address(application, 'devices/')}"},
    )

    assert answer["HX-Redirect"].startswith("/login/?next=%2Fapps%2F")
    assert answer.content == b""


def test_too_many_wrong_passwords_close_the_login_for_this_name_and_address(client: Client, marketer: User) -> None:
    for _ in range(8):
        answer = client.post("/login/", {"username": "maria", "password": "wrong"})

    assert answer.status_code == 429
    assert b"Too many wrong passwords" in answer.content
    assert client.post("/login/", {"username": "maria", "password": PASSWORD}).status_code == 429
