"""FCM HTTP v1: judges `messages:send` and answers in Google's error format (REST reference, ErrorCode)."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace

import msgspec

from messaging.simulators.behaviours import Behaviour, Kind, of_text_token
from messaging.simulators.exchange import Answer, ConnectionRules, Headers, Request, Verdict, json_answer
from messaging.simulators.faults import HTML_TYPE, retry_after
from messaging.simulators.fcm_message import (
    MAX_BYTES,
    MAX_TOPIC_BYTES,
    TOPIC,
    Violation,
    data_violations,
    part,
    payload_size,
    shape_violations,
)
from messaging.simulators.modes import Mode
from messaging.simulators.signed_tokens import TokenIssuer, bearer_of

PATH = re.compile(r"/v1/projects/([^/?]+)/messages:send(?:\?.*)?")
REGISTRATION_TOKEN = re.compile(r"[A-Za-z0-9_-]{11,}:[A-Za-z0-9_-]{20,}")
BAD_TOKEN_TEXT = "The registration token is not a valid FCM registration token"  # noqa: S105
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
NOT_FOUND_HTML = (
    b"<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title><p><b>404.</b> That\xe2\x80\x99s an error."
)

#: HTTP status, google.rpc.Code, FcmError code ("" = no FcmError detail), message
REFUSALS: dict[Kind, tuple[int, str, str, str]] = {
    Kind.DEAD: (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    Kind.EXPIRED: (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    Kind.UNTIMED: (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    Kind.MISMATCH: (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch"),
    Kind.THIRD_PARTY: (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service"),
    Kind.S400: (400, "INVALID_ARGUMENT", "", "Request contains an invalid argument."),
    Kind.S401: (401, "UNAUTHENTICATED", "", "Request had invalid authentication credentials."),
    Kind.S403: (403, "PERMISSION_DENIED", "", "The caller does not have permission"),
    Kind.S413: (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Android message is too big"),
    Kind.S429: (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Quota exceeded for quota metric 'Send requests'"),
    Kind.S500: (500, "INTERNAL", "INTERNAL", "Internal error encountered."),
    Kind.S503: (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
    Kind.UNKNOWN: (400, "SOMETHING_NEW", "SOMETHING_NEW", "An error nobody has documented."),
}


class FcmService:
    """One Firebase project."""

    name = "fcm"
    is_logged = True
    usual_rules = ConnectionRules(max_streams=100)

    def __init__(self, project_id: str, issuer: TokenIssuer) -> None:
        self._project_id = project_id
        self._issuer = issuer

    def judge(self, request: Request, mode: Mode) -> Verdict:
        """Judge a send request."""
        path = PATH.fullmatch(request.path)
        if path is None or request.method != "POST":
            return Verdict(answer=Answer(status=404, reason="no such path", headers=(HTML_TYPE,), body=NOT_FOUND_HTML))
        content = _decode(request.body)
        message = part(content, "message") if isinstance(content, dict) else {}
        token = message.get("token")
        refusal = self._refusal(request, path[1], content)
        answer = refusal or self._accepted(content)
        return Verdict(answer=answer, token=token if isinstance(token, str) else "", notification=content)

    def refuse(self, behaviour: Behaviour) -> Answer | None:
        """Return Google's answer for a behaviour."""
        if behaviour.kind is Kind.BAD:
            return _bad_token()
        if behaviour.kind is Kind.S404:
            return Answer(status=404, reason="html", headers=(HTML_TYPE,), body=NOT_FOUND_HTML)
        if behaviour.kind not in REFUSALS:
            return None
        status, code, fcm_error, message = REFUSALS[behaviour.kind]
        details: list[object] = [{"@type": FCM_ERROR, "errorCode": fcm_error}] if fcm_error else []
        headers = retry_after(behaviour) if status in (429, 503) else ()
        return _error(status, code, message, details=details, headers=headers)

    def behaviour(self, token: str) -> Behaviour:
        """Return what a registration token asks for."""
        return of_text_token(token)

    def _refusal(self, request: Request, project_id: str, content: object) -> Answer | None:
        return (
            self._authorization_fault(request.headers.get("authorization", ""))
            or self._project_fault(project_id)
            or _form_fault(request, content)
            or _message_fault(content)
        )

    def _authorization_fault(self, authorization: str) -> Answer | None:
        access_token = bearer_of(authorization)
        if not access_token:
            return _unauthenticated("CREDENTIALS_MISSING", "Request is missing required authentication credential.")
        if not self._issuer.is_ours(access_token):
            return _unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED", "Request had invalid authentication credentials.")
        if self._issuer.is_expired(access_token):
            return _unauthenticated("ACCESS_TOKEN_EXPIRED", "Request had invalid authentication credentials.")
        return None

    def _project_fault(self, project_id: str) -> Answer | None:
        if project_id == self._project_id:
            return None
        text = (
            "Permission 'cloudmessaging.messages.create' denied on resource "
            f"'//cloudresourcemanager.googleapis.com/projects/{project_id}' (or it may not exist)."
        )
        info = {"@type": ERROR_INFO, "reason": "IAM_PERMISSION_DENIED", "domain": "cloudresourcemanager.googleapis.com"}
        return _error(403, "PERMISSION_DENIED", text, details=[info])

    def _accepted(self, content: object) -> Answer:
        is_dry_run = isinstance(content, dict) and bool(content.get("validate_only") or content.get("validateOnly"))
        number = "fake_message_id" if is_dry_run else f"0:{time.time_ns() // 1000}%{secrets.token_hex(8)}"
        return json_answer(
            200,
            {"name": f"projects/{self._project_id}/messages/{number}"},
            reason="validate_only" if is_dry_run else "",
        )


def _form_fault(request: Request, content: object) -> Answer | None:
    if not request.headers.get("content-type", "").startswith("application/json"):
        return _error(400, "INVALID_ARGUMENT", "Invalid content type: expected application/json.")
    if content is None:
        return _error(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unable to parse.")
    violations = list(shape_violations(content))
    return _invalid(violations) if violations else None


def _message_fault(content: object) -> Answer | None:
    message = part(content, "message") if isinstance(content, dict) else {}
    targets = [name for name in ("token", "topic", "condition") if message.get(name)]
    if len(targets) != 1:
        text = (
            "Exactly one of token, topic or condition is required"
            if targets
            else "Recipient of the message is not set."
        )
        return _invalid([Violation("message", text)], is_fcm_error=True)
    reserved = list(data_violations(message))
    if reserved:
        return _invalid(reserved, is_fcm_error=True)
    if targets == ["token"] and not REGISTRATION_TOKEN.fullmatch(str(message["token"])):
        return _bad_token()
    if targets == ["topic"] and not TOPIC.fullmatch(str(message["topic"])):
        return _invalid([Violation("message.topic", "Invalid topic name")], is_fcm_error=True)
    if payload_size(message) > (MAX_BYTES if targets == ["token"] else MAX_TOPIC_BYTES):
        details: list[object] = [{"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}]
        return _error(400, "INVALID_ARGUMENT", "Android message is too big", details=details)
    return None


def _bad_token() -> Answer:
    answer = _invalid([Violation("message.token", BAD_TOKEN_TEXT)], is_fcm_error=True)
    return replace(answer, reason="INVALID_ARGUMENT message.token")


def _invalid(violations: list[Violation], *, is_fcm_error: bool = False) -> Answer:
    details: list[object] = [{"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}] if is_fcm_error else []
    listed = [{"field": violation.field, "description": violation.description} for violation in violations]
    details.append({"@type": BAD_REQUEST, "fieldViolations": listed})
    text = "\n".join(violation.description for violation in violations)
    return _error(400, "INVALID_ARGUMENT", text, details=details)


def _unauthenticated(reason: str, text: str) -> Answer:
    full = (
        f"{text} Expected OAuth 2 access token, login cookie or other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    info = {
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "fcm.googleapis.com"},
    }
    headers = (("www-authenticate", 'Bearer realm="https://accounts.google.com/", error="invalid_token"'),)
    return replace(_error(401, "UNAUTHENTICATED", full, details=[info], headers=headers), reason=reason)


def _error(
    status: int, code: str, message: str, *, details: list[object] | None = None, headers: Headers = ()
) -> Answer:
    error: dict[str, object] = {"code": status, "message": message, "status": code}
    if details:
        error["details"] = details
    return json_answer(status, {"error": error}, reason=_reason(code, details), headers=headers)


def _reason(code: str, details: list[object] | None) -> str:
    for detail in details or ():
        if isinstance(detail, dict) and "errorCode" in detail:
            return str(detail["errorCode"])
    return code


def _decode(body: bytes) -> object:
    try:
        content: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return content
