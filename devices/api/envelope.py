"""What every API call goes through: who calls, which method, and errors as `{"code", "message", "errorData"}`.

Cookies count for nothing here: no view reads the session, which is why no CSRF token is asked for.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from devices.api import limits
from devices.api.limits import Limit
from devices.api.shapes import ErrorAnswer
from devices.api_keys import authenticate
from devices.errors import (
    ApiError,
    DeadUserToken,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    TooManyLogins,
    WrongApplicationInfo,
    WrongLogin,
)
from devices.host_keys import credentials_of_host

logger = logging.getLogger(__name__)

#: "*" is safe because the key stands in the address and cookies are ignored
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "idempotency-replayed, retry-after",
}
#: what a browser reads in the answer to its preflight alone
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "content-type, user-token, idempotency-key",
    "Access-Control-Max-Age": "86400",
}
#: counted per address as wrong keys are, and answered 429 beyond the limit
_FAILED_AUTHENTICATION = (WrongLogin, TooManyLogins, DeadUserToken)

#: takes the caller, the request and what the address captured; gives what the JSON of the answer holds
ApiFunction = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function gives where its answer has headers of its own."""

    content: object
    headers: Mapping[str, str]


def endpoint(**functions: ApiFunction) -> Callable[..., HttpResponseBase]:
    """A Django view that serves one address: `endpoint(GET=registration, DELETE=unregister)`.

    Without functions the address answers 404, in JSON as all of the API does.
    """
    allowed = ", ".join(sorted({*functions, "OPTIONS", *(["HEAD"] if "GET" in functions else [])}))

    @csrf_exempt
    def view(request: HttpRequest, application_id: str = "", api_key: str = "", **captured: str) -> HttpResponseBase:
        if request.method == "OPTIONS":  # also where nothing is: a browser shows no answer whose preflight failed
            return _with_headers(
                HttpResponse(content_type="application/json", headers={"Allow": allowed, **_PREFLIGHT})
            )
        function = functions.get("GET" if request.method == "HEAD" else str(request.method))
        try:
            if function is None:
                raise MethodNotAllowed() if functions else NotFound()
            if any("\0" in part for part in captured.values()):
                raise NotFound()  # PostgreSQL's text cannot hold U+0000, so nothing has such a name
            if not application_id:  # `/api/...`: the host says whose
                application_id, api_key = credentials_of_host(request.META.get("HTTP_HOST", ""))
            response = _answer(_call(function, request, (application_id, api_key), captured))
        except Exception as error:  # noqa: BLE001 (the edge: whatever happened, the caller gets JSON)
            response = _error_response(error, request)
        if response.status_code == MethodNotAllowed.http_status:
            response.headers["Allow"] = allowed
        return _with_headers(response)

    return view


def _call(function: ApiFunction, request: HttpRequest, ids: tuple[str, str], captured: dict[str, str]) -> object:
    """What the function gives; failed authentication is counted per address, but not a server's of its users."""
    application_id, api_key = ids
    limits.refuse_guessing(request, application_id, api_key)
    try:
        caller = authenticate(application_id, api_key)
    except WrongApplicationInfo:
        limits.take(Limit.FAILURES, request)
        raise
    if caller.api_key.may_publish:
        limits.take(Limit.SERVER_CALLS, request)
        return function(caller, request, **captured)
    try:
        return function(caller, request, **captured)
    except _FAILED_AUTHENTICATION:
        limits.take(Limit.FAILURES, request)
        raise


def _error_response(error: Exception, request: HttpRequest) -> HttpResponse:
    api_error = _api_error(error, request)
    body = ErrorAnswer(code=api_error.code, message=api_error.message, error_data={})
    response = _json(body, status=api_error.http_status)
    if api_error.retry_after_s:
        response.headers["Retry-After"] = str(api_error.retry_after_s)
    return response


def _api_error(error: Exception, request: HttpRequest) -> ApiError:
    if isinstance(error, ApiError):
        return error
    # no exception text: PostgreSQL's names the values of the row, tokens among them; no path: it holds the key
    route = request.resolver_match.route if request.resolver_match else ""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s in %s %s\n%s", type(error).__name__, request.method, route, where)
    return ServiceUnavailable() if isinstance(error, OperationalError | InterfaceError) else InternalError()


def _answer(given: object) -> HttpResponse:
    if not isinstance(given, Answer):
        return _json(given)
    response = _json(given.content)
    for name, value in given.headers.items():
        response.headers[name] = value
    return response


def _json(content: object, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(content), status=status, content_type="application/json")


def _with_headers(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Length"] = str(len(response.content))
    for name, value in _CORS.items():
        response.headers[name] = value
    return response
