"""Bodies of publishing on the wire: requests are read into these, answers written from them, the API's document
(OpenAPI) made of them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from devices.api.shapes import MAX_DEVICE_ID, MOMENT, described
from devices.push_services import OsMask

MAX_SINGLECAST = 100_000
MAX_TEXT = 255  #: characters of publisherId, subtopic and subscriberId
MAX_HEADERS = 100
MAX_HEADER_NAME = 255
MAX_HEADER_VALUE = 4_096
MAX_REPEAT_EVERY_S = 3_650 * 86_400
#: of a push from a template (reliability.md 2.5)
MAX_VALUES = 64
MAX_VALUE = 1_024
MAX_VALUE_NAME = 64

_STATUSES = ["SCHEDULED", "PUBLISHED", "FAILED", "CANCELLED", "UNKNOWN"]
_OS_WORD = f"(FOR_)?({'|'.join(OsMask.__members__)})"
_NO_LINE_BREAK = r"^[^\r\n\u0000]*$"
_NO_NUL = r"^[^\u0000]*$"

HeaderValue = Annotated[str | int | float | bool, described("", maxLength=MAX_HEADER_VALUE, pattern=_NO_NUL)]


class PublishBody(msgspec.Struct, rename="camel"):
    """A message and whom it is for. Unknown properties are ignored."""

    message: Annotated[Any, described("Any JSON value.", "Tea is ready")] = None
    publisher_id: Annotated[str | None, described("", "corner-coffee", maxLength=MAX_TEXT)] = None
    subtopic: Annotated[str | None, described("", "tea.green", maxLength=MAX_TEXT)] = None
    headers: Annotated[
        dict[str, HeaderValue] | None,
        described(
            "Appearance on each platform (`android-*`, `ios-*`, `wp-*`, `web-*`); any other is custom data.",
            {"ios-alert-title": "Corner Coffee", "ios-badge": 1},
            maxProperties=MAX_HEADERS,
            propertyNames={"minLength": 1, "maxLength": MAX_HEADER_NAME, "pattern": _NO_LINE_BREAK},
        ),
    ] = None
    publish_policy: Annotated[
        str | None,
        described("Push only, pub/sub only, or both (default).", "PUSH", enum=["PUSH", "PUBSUB", "BOTH", None]),
    ] = None
    push_policy: Annotated[
        str | None,
        described("Older name of publishPolicy, which wins.", "ONLY", enum=["ONLY", "NONE", "ALSO", None]),
    ] = None
    push_broadcast: Annotated[
        int | float | str | None,
        described(
            "Operating systems of the channel: a mask (IOS 1, ANDROID 2, WP 4, OSX 8, WEB 16; 7, 15 and 31 are all), "
            "or names joined with a bar.",
            3,
            "IOS|ANDROID",
            minimum=0,
            maximum=int(OsMask.ALL),
            multipleOf=1,
            pattern=rf"^{_OS_WORD}(\|{_OS_WORD})*$",
        ),
    ] = None
    push_singlecast: Annotated[
        list[Annotated[str, described("", maxLength=MAX_DEVICE_ID)]] | None,
        described("Ids of devices, of whatever channel.", ["my-phone"], minItems=1, maxItems=MAX_SINGLECAST),
    ] = None
    segment_query: Annotated[
        str | None,
        described(
            "Where clause over columns, channels and attributes of registrations and their users; narrows the rest.",
            "operatingSystemName = 'IOS'",
            format="segment-query",
        ),
    ] = None
    publish_at: Annotated[int | float | str | None, described("Later than now.", 1893477600000, **MOMENT)] = None
    repeat_every: Annotated[
        int | float | None,
        described("Whole seconds between sendings.", 86400, minimum=1, maximum=MAX_REPEAT_EVERY_S, multipleOf=1),
    ] = None
    releat_every: Annotated[
        int | float | None,
        described(
            "repeatEvery, as a page of the vendor spells it.", minimum=1, maximum=MAX_REPEAT_EVERY_S, multipleOf=1
        ),
    ] = None
    repeat_expires_at: Annotated[
        int | float | str | None,
        described("From then on nothing is repeated; later than the first sending.", 1893564000000, **MOMENT),
    ] = None


class TemplateBody(msgspec.Struct, rename="camel"):
    """What the placeholders of a push template are filled with."""

    template_values: Annotated[
        dict[str, Annotated[str | int | float | None, described("", maxLength=MAX_VALUE)]] | None,
        described(
            "Values by name of the placeholder.",
            {"name": "Kim"},
            maxProperties=MAX_VALUES,
            propertyNames={"maxLength": MAX_VALUE_NAME},
        ),
    ] = None


class SubscribeBody(msgspec.Struct, rename="camel"):
    """A polling subscription (docs/rest/pubsub_subscribe_for_all_messages, ..._for_filtered_message)."""

    subscriber_id: Annotated[str | None, described("", "kim", maxLength=MAX_TEXT)] = None
    selector: Annotated[
        str | None, described("SQL-92 condition over headers.", "importance = 'high'", format="selector")
    ] = None
    subtopic: Annotated[str | None, described("", "tea.*", maxLength=MAX_TEXT)] = None


class MessageStatusAnswer(msgspec.Struct, rename="camel"):
    """What becomes of a message. Publishing answers `scheduled` in lower case, all else in upper case."""

    error_message: Annotated[str | None, described("Why it failed, or null.")]
    message_id: Annotated[str, described("", "message:96DB5C50-C1FF-4B35-9209-71523AD1315C")]
    status: Annotated[str, described("", "SCHEDULED", enum=[*_STATUSES, "scheduled"])]


class EmailTemplateBody(msgspec.Struct, rename="kebab"):
    """An e-mail from a template of the hosted original."""

    template_name: Annotated[str, described("", "welcome")]


class SubscribedAnswer(msgspec.Struct, rename="camel"):
    """A polling subscription."""

    subscription_id: str


class PolledMessageAnswer(msgspec.Struct, rename="camel", omit_defaults=True):
    """A message of the last 60 seconds; the publisher and headers where there are any."""

    message_id: str
    data: Any
    published_at: Annotated[int, described("Milliseconds since 1970.")]
    publisher_id: str = ""
    headers: dict[str, str] = {}


class PolledAnswer(msgspec.Struct):
    """What was published since the last poll, each message once."""

    messages: list[PolledMessageAnswer]


class InfoAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """What an SDK asks for before anything else."""

    app_id: str
    api_key: Annotated[str, described("As the caller sent it.")]
    rt_url: Annotated[str, described("Where live subscribers connect.")] = msgspec.field(name="rtURL")
    loggers: list[str]
