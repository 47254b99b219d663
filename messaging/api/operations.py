"""Every call of the REST API: address, body, answer, refusals and examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from devices import errors as general
from devices.api.shapes import (
    RESERVED,
    AccountBody,
    FactsBody,
    LoginBody,
    RegisteredAnswer,
    RegistrationAnswer,
    RegistrationBody,
    UnregisteredAnswer,
    UserAnswer,
)
from messaging import errors
from messaging.api.operation import CHANNEL, DEVICE, MESSAGE_ID, OS, PUBLISH_ERRORS, TEMPLATE, Link, Operation
from messaging.api.shapes import (
    EmailTemplateBody,
    InfoAnswer,
    MessageStatusAnswer,
    PolledAnswer,
    PublishBody,
    SubscribeBody,
    SubscribedAnswer,
    TemplateBody,
)
from messaging.realtime.errors import InvalidSelector

_DEVICE_ID = {"deviceId": ("The app's own id.", DEVICE)}
_MESSAGE_ID = {"name": ("Id of the message.", MESSAGE_ID)}
_CHANNEL = {"channel": (RESERVED, CHANNEL)}

_ANSWERED_ID = {"name": "$response.body#/messageId"}
_OF_MESSAGE = (Link("getMessageStatus", _ANSWERED_ID), Link("cancel", _ANSWERED_ID))
_SENT_ID = {"deviceId": "$request.body#/deviceId"}
_OF_DEVICE = (Link("getRegistrations", _SENT_ID), Link("unregisterDevice", _SENT_ID))
_OF_TOKEN = (Link("isValidUserToken", {"token": "$response.body#/user-token"}),)
_OF_SUBSCRIPTION = (
    Link("poll", {"channel": "$request.path.channel", "subscriptionId": "$response.body#/subscriptionId"}),
)

_REGISTER = Operation(
    method="post",
    path="/messaging/registrations",
    operation_id="registerDevice",
    tag="Devices",
    summary="Register a device",
    description="The same device id again updates the registration and replaces its channels.",
    bodies=(RegistrationBody, FactsBody),
    examples={
        "Android": {"deviceToken": "XXXXXXXXXXXXXXXXXXXXXXXXX", "deviceId": "kims-phone", "os": "ANDROID"},
        "iPhone in two channels": {
            "deviceToken": "9f2c6d1b7a3e48505fd1c2b39e8a7460d4f5b6a7c8e9012345678901abcdef00",
            "deviceId": "my-phone",
            "os": "IOS",
            "osVersion": "19.1",
            "channels": ["default", "tea"],
            "attributes": {"city": "Lyon"},
        },
    },
    answer=RegisteredAnswer,
    links=_OF_DEVICE,
    errors=(
        general.InvalidExpiration,
        general.InvalidToken,
        general.InvalidChannelName,
        general.PermissionMissing,
    ),
)
_GET_REGISTRATIONS = Operation(
    method="get",
    path="/messaging/registrations/{deviceId}",
    operation_id="getRegistrations",
    tag="Devices",
    summary="Read the registration of a device",
    description="A list with one object.",
    parameters=_DEVICE_ID,
    answer=list[RegistrationAnswer],
    errors=(general.UnknownDevice, general.PermissionMissing),
)
_UNREGISTER = Operation(
    method="delete",
    path="/messaging/registrations/{deviceId}",
    operation_id="unregisterDevice",
    tag="Devices",
    summary="Unregister a device",
    parameters=_DEVICE_ID,
    answer=UnregisteredAnswer,
    errors=(general.UnknownDeviceToCancel, general.PermissionMissing),
)
_UNREGISTER_ALIAS = replace(
    _UNREGISTER,
    path="/messaging/registration/{deviceId}",
    operation_id="unregisterDeviceAlias",
    summary="Unregister a device (spelling of an older example)",
)
_PUBLISH = Operation(
    method="post",
    path="/messaging/{name}",
    operation_id="publish",
    tag="Messages",
    summary="Publish to a channel",
    description="Answers once the message is committed. An unknown channel is created.",
    parameters={"name": (RESERVED, CHANNEL)},
    bodies=(PublishBody,),
    examples={
        "By operating system": {
            "message": "Tea is ready",
            "pushBroadcast": 3,
            "headers": {"android-content-title": "Corner Coffee", "ios-alert-title": "Corner Coffee"},
        },
        "To named devices": {"message": "Tea is ready", "publishPolicy": "PUSH", "pushSinglecast": ["my-phone"]},
        "Later": {"message": "Tea at five", "pushBroadcast": "IOS|ANDROID", "publishAt": 1893477600000},
        "Again and again": {"message": "Daily tea", "repeatEvery": 86400, "repeatExpiresAt": 1893564000000},
        "To subscribers only": {"message": {"kind": "tea"}, "publishPolicy": "PUBSUB", "headers": {"importance": 5}},
        "To a segment": {"message": "Bonjour", "segmentQuery": "operatingSystemName = 'IOS'"},
    },
    answer=MessageStatusAnswer,
    links=_OF_MESSAGE,
    errors=PUBLISH_ERRORS,
    is_once=True,
)
_STATUS = Operation(
    method="get",
    path="/messaging/{name}",
    operation_id="getMessageStatus",
    tag="Messages",
    summary="Ask what became of a message",
    description="An id nobody gave out is no error: its status is UNKNOWN.",
    parameters=_MESSAGE_ID,
    answer=MessageStatusAnswer,
    errors=(general.PermissionMissing,),
)
_CANCEL = Operation(
    method="delete",
    path="/messaging/{name}",
    operation_id="cancel",
    tag="Messages",
    summary="Cancel a message",
    description="What is being sent stops within two seconds.",
    parameters=_MESSAGE_ID,
    answer=MessageStatusAnswer,
    errors=(errors.CannotCancel, errors.PublishForbidden),
)
_DELETE_CHANNEL = Operation(
    method="delete",
    path="/messaging/channels/{channel}",
    operation_id="deleteChannel",
    tag="Messages",
    summary="Delete a channel",
    description="Its devices leave it, so that scheduled messages reach no device there; its polling subscriptions "
    "end, live subscribers stay. The default channel cannot be deleted.",
    parameters={"channel": (RESERVED, {**CHANNEL, "examples": ["news"]})},
    errors=(general.UnknownChannel, general.InvalidChannelName, errors.PublishForbidden),
)
_PUSH = Operation(
    method="post",
    path="/messaging/push/{template}",
    operation_id="pushWithTemplate",
    tag="Push templates",
    summary="Push from a template",
    description="Text, operating systems, channel and segment are the template's.",
    parameters={"template": ("Name of the template.", TEMPLATE)},
    bodies=(TemplateBody,),
    examples={"With a value": {"templateValues": {"name": "Kim"}}},
    answer=MessageStatusAnswer,
    links=_OF_MESSAGE,
    errors=(errors.UnknownPushTemplate, *PUBLISH_ERRORS),
    is_once=True,
)
_TEMPLATES = Operation(
    method="get",
    path="/messaging/pushtemplates/{os}",
    operation_id="getPushTemplates",
    tag="Push templates",
    summary="Read the templates for an operating system",
    description="An object by name, in the form the SDKs store.",
    parameters={"os": ("Operating system; letter case is free.", OS)},
    answer=dict[str, dict[str, Any]],
    errors=(general.InvalidProperty, general.PermissionMissing),
)
_IOS_TEMPLATES = Operation(
    method="get",
    path="/messaging/pushtemplates",
    operation_id="getIosPushTemplates",
    tag="Push templates",
    summary="Read the templates for iOS",
    answer=dict[str, dict[str, Any]],
    errors=(general.PermissionMissing,),
)
_SUBSCRIBE = Operation(
    method="post",
    path="/messaging/{channel}/subscribe",
    operation_id="subscribe",
    tag="Polling",
    summary="Subscribe to a channel by polling",
    parameters=_CHANNEL,
    bodies=(SubscribeBody,),
    examples={"All messages": {}, "Some messages": {"selector": "importance = 'high'"}},
    answer=SubscribedAnswer,
    links=_OF_SUBSCRIPTION,
    errors=(general.PermissionMissing, general.InvalidChannelName, InvalidSelector),
)
_POLL = Operation(
    method="get",
    path="/messaging/{channel}/{subscriptionId}",
    operation_id="poll",
    tag="Polling",
    summary="Read what was published since the last time",
    description="Messages of the last 60 seconds, each once.",
    parameters={
        **_CHANNEL,
        "subscriptionId": ("What subscribing answered.", {"type": "string", "format": "uuid"}),
    },
    answer=PolledAnswer,
    errors=(general.PermissionMissing, errors.UnknownSubscription, general.InvalidChannelName),
)
_LOGIN = Operation(
    method="post",
    path="/users/login",
    operation_id="logIn",
    tag="Users",
    summary="Log in",
    description="The answer's `user-token` goes into the header of that name.",
    bodies=(LoginBody,),
    examples={"By login": {"login": "kim", "password": "a long password"}},
    answer=UserAnswer,
    links=_OF_TOKEN,
    errors=(
        general.LoginByIdForbidden,
        general.WrongLogin,
        general.EmptyLogin,
        general.TooManyLogins,
        general.UserDisabled,
    ),
    takes_user_token=False,
)
_REGISTER_USER = Operation(
    method="post",
    path="/users/register",
    operation_id="registerUser",
    tag="Users",
    summary="Make a user",
    bodies=(AccountBody,),
    examples={"By e-mail": {"email": "kim@example.org", "password": "a long password", "city": "Lyon"}},
    answer=UserAnswer,
    errors=(general.MissingIdentity, general.EmptyLogin, general.IdentityTaken, general.PermissionMissing),
    takes_user_token=False,
)
_GUEST = Operation(
    method="post",
    path="/users/register/guest",
    operation_id="registerGuest",
    tag="Users",
    summary="Make a guest and log in",
    answer=UserAnswer,
    links=_OF_TOKEN,
    errors=(general.PermissionMissing,),
    takes_user_token=False,
)
_LOGOUT = Operation(
    method="get",
    path="/users/logout",
    operation_id="logOut",
    tag="Users",
    summary="Log out",
    errors=(general.NobodyLoggedIn,),
)
_IS_VALID = Operation(
    method="get",
    path="/users/isvalidusertoken/{token}",
    operation_id="isValidUserToken",
    tag="Users",
    summary="Ask whether a token is alive",
    parameters={"token": ("A user-token.", {"type": "string", "minLength": 1})},
    answer=bool,
    takes_user_token=False,
)
_INFO = Operation(
    method="get",
    path="/info",
    operation_id="info",
    tag="Real time",
    summary="Read where live subscribers connect",
    answer=InfoAnswer,
)
_LOOKUP = Operation(
    method="get",
    path="/rt/lookup",
    operation_id="lookUp",
    tag="Real time",
    summary="Read where live subscribers connect, for older SDKs",
    answer=str,
)
_EMAIL = Operation(
    method="post",
    path="/messaging/email",
    operation_id="sendEmail",
    tag="E-mail",
    summary="Not supported: always refused",
    never_succeeds=True,
    errors=(errors.NotSupported,),
)
_EMAIL_TEMPLATE = Operation(
    method="post",
    path="/emailtemplate/send",
    operation_id="sendEmailFromTemplate",
    tag="E-mail",
    summary="Not supported: no such template can exist",
    bodies=(EmailTemplateBody,),
    never_succeeds=True,
    errors=(errors.UnknownEmailTemplate,),
)

OPERATIONS: tuple[Operation, ...] = (
    *(_PUBLISH, _STATUS, _CANCEL, _DELETE_CHANNEL),
    *(_REGISTER, _GET_REGISTRATIONS, _UNREGISTER, _UNREGISTER_ALIAS),
    *(_PUSH, _TEMPLATES, _IOS_TEMPLATES),
    *(_SUBSCRIBE, _POLL),
    *(_LOGIN, _REGISTER_USER, _GUEST, _LOGOUT, _IS_VALID),
    *(_INFO, _LOOKUP),
    *(_EMAIL, _EMAIL_TEMPLATE),
)
