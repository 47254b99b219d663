"""Bodies of devices and users on the wire: requests are read into these, answers written from them, the API's
document (OpenAPI) made of them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from devices.channels import MAX_CHANNEL_NAME, RESERVED_NAMES
from devices.json_input import KIB
from devices.push_services import Os

MAX_DEVICE_ID = 255
MAX_DEVICE_TOKEN = 8 * KIB
MAX_OS_VERSION = 64
MAX_CHANNELS = 100
MAX_LOCALE = 35
MAX_TIME_ZONE = 64
MAX_USER_TEXT = 255

#: a moment: numbers from 10^11 on are milliseconds since 1970, below seconds; the end is that of year 9999
MOMENT: dict[str, Any] = {"exclusiveMinimum": 0, "maximum": 253_402_300_799_999, "format": "date-time"}

#: neither space around nor slash nor control character, and no reserved word, which stand in the description
CHANNEL_NAME: dict[str, Any] = {
    "minLength": 1,
    "maxLength": MAX_CHANNEL_NAME,
    "pattern": r"^[^\s/\u0000-\u001f\u007f-\u009f]([^/\u0000-\u001f\u007f-\u009f]*[^\s/\u0000-\u001f\u007f-\u009f])?$",
    "not": {"pattern": "^[Mm][Ee][Ss][Ss][Aa][Gg][Ee]:"},
}
RESERVED = f"A channel name; not one of the reserved words {', '.join(sorted(RESERVED_NAMES))}."


def described(text: str, *examples: object, **schema: object) -> msgspec.Meta:
    """What the document says of a property. It checks nothing: limits have error codes that msgspec does not know."""
    return msgspec.Meta(description=text or None, examples=list(examples) or None, extra_json_schema=schema or None)


DeviceId = Annotated[
    str, described("The app's own id of the device.", "my-phone", minLength=1, maxLength=MAX_DEVICE_ID)
]


class RegistrationBody(msgspec.Struct, rename="camel"):
    """A device to register. The SDKs send a version as text or number, a Date as seconds with a fraction."""

    device_token: Annotated[
        str,
        described(
            "What the push service gave the app: FCM token, APNs token as hexadecimal digits, WNS channel URI, or a "
            "PushSubscription as JSON text.",
            minLength=1,
            maxLength=MAX_DEVICE_TOKEN,
        ),
    ]
    device_id: DeviceId
    os: Annotated[str, described("Operating system; letter case is free.", "ANDROID", enum=Os.values)]
    os_version: Annotated[str | int | float | None, described("", "4.1", maxLength=MAX_OS_VERSION)] = None
    channels: Annotated[
        list[Annotated[str, described(RESERVED, "news", **CHANNEL_NAME)]] | None,
        described("Replaces the channels of the device; none means `default`.", maxItems=MAX_CHANNELS),
    ] = None
    expiration: Annotated[
        int | float | str | None,
        described("Later than now; from then on the device gets nothing.", 1893477600000, **MOMENT),
    ] = None


class FactsBody(msgspec.Struct, rename="camel"):
    """Ours: what personalised texts and segments may ask of a device."""

    attributes: Annotated[
        dict[str, Any] | None, described("Facts of your own, for segments and texts.", {"city": "Lyon"})
    ] = None
    locale: Annotated[str | None, described("BCP 47 language tag.", "fr-FR", maxLength=MAX_LOCALE)] = None
    time_zone: Annotated[str | None, described("IANA time zone.", "Europe/Paris", maxLength=MAX_TIME_ZONE)] = None


class LoginBody(msgspec.Struct, rename="camel"):
    """Who logs in."""

    login: Annotated[str | None, described("Login or e-mail.", "kim", maxLength=MAX_USER_TEXT)] = None
    password: Annotated[str | None, described("", "a long password", maxLength=MAX_USER_TEXT)] = None
    object_id: Annotated[str | None, described("Refused: only the hosted original's own code may use it.")] = None


class AccountBody(msgspec.Struct):
    """What is known of any user; the app's own properties stand beside it."""

    login: Annotated[str | None, described("This or email is needed.", "kim", maxLength=MAX_USER_TEXT)] = None
    email: Annotated[str | None, described("", "kim@example.org", maxLength=MAX_USER_TEXT)] = None
    password: Annotated[str | None, described("", "a long password", maxLength=MAX_USER_TEXT)] = None
    name: Annotated[str | None, described("", "Kim", maxLength=MAX_USER_TEXT)] = None


class RegisteredAnswer(msgspec.Struct, rename="camel"):
    """The registration of a device."""

    registration_id: Annotated[
        str,
        described(
            "`<registration>::<channel>` for each channel, joined with commas.",
            "813F6DF6-FBF8-4897-AF93-6926405D41EA::default,813F6DF6-FBF8-4897-AF93-6926405D41EA::tea",
        ),
    ]


class RegistrationAnswer(msgspec.Struct, rename="camel"):
    """A registered device."""

    id: str
    device_token: str
    device_id: str
    os: Annotated[str, described("", "ANDROID", enum=Os.values)]
    os_version: str
    channels: list[str]
    expiration: Annotated[int | None, described("Milliseconds since 1970, or null.")]


class UnregisteredAnswer(msgspec.Struct):
    """A JSON boolean: the Swift SDK casts it."""

    result: bool


class UserAnswer(msgspec.Struct, rename="camel"):
    """A user, without a password; the app's own properties stand beside these."""

    object_id: str
    owner_id: str
    email: str | None
    name: str | None
    user_status: Annotated[str, described("", enum=["ENABLED", "GUEST"])]
    last_login: Annotated[int | None, described("Milliseconds since 1970, or null.")]
    created: int
    updated: Annotated[int | None, described("Milliseconds since 1970, or null before the first change.")]
    class_name: str = msgspec.field(name="___class", default="Users")
    user_token: Annotated[str | UnsetType, described("Only where somebody logs in.")] = msgspec.field(
        name="user-token", default=UNSET
    )


class ErrorAnswer(msgspec.Struct, rename="camel"):
    """What every refusal looks like."""

    code: Annotated[int, described("Stable; decide by it, not by the text.", 5030)]
    message: Annotated[str, described("For people.", "Invalid publishAt date in the delivery options.")]
    error_data: dict[str, Any]
