"""Which column, or attribute, a name in a segment query means."""

from __future__ import annotations

from devices.conditions import InvalidCondition, Name
from devices.segment_columns import AttributeColumn, Column, IdColumn, LoginColumn, TextColumn, TimeColumn
from devices.segment_related import ChannelColumn, UserColumn
from devices.segment_scope import Scope

_MAX_PATH = 8

_USERS_COLUMNS: dict[str, Column] = {
    "objectId": TextColumn("u.object_id"),
    "login": LoginColumn("u.login"),
    "email": TextColumn("u.email", is_blank_missing=True),
    "name": TextColumn("u.name", is_blank_missing=True),
    "created": TimeColumn("u.created_at"),
    "updated": TimeColumn("u.updated_at"),
    "lastLogin": TimeColumn("u.last_login_at"),
}
#: the relation of the hosted original's table, and the table's name as smart text has it (contract.md 5, 6)
_OF_USER = ("user.", "Users.")

_CHANNEL = "channelName"
_COLUMNS: dict[str, Column] = {
    "objectId": IdColumn("upper(r.registration_id::text)", str.upper),
    "deviceId": TextColumn("r.device_id"),
    "deviceToken": TextColumn("r.token"),
    "operatingSystemName": TextColumn("r.os", str.upper),
    "operatingSystemVersion": TextColumn("r.os_version", is_blank_missing=True),
    "expiration": TimeColumn("r.expiration"),
    "userId": TextColumn("r.user_id", is_blank_missing=True),
    "locale": TextColumn("r.locale", is_blank_missing=True),
    "timeZone": TextColumn("r.time_zone", is_blank_missing=True),
    "created": TimeColumn("r.created_at"),
    "updated": TimeColumn("r.last_seen_at"),
}


def column_named(name: Name, scope: Scope) -> Column:
    """The column, or the attribute, of that name. Raises InvalidCondition."""
    for prefix in _OF_USER:
        if name.text.startswith(prefix):
            own = name.text.removeprefix(prefix)
            return UserColumn(_USERS_COLUMNS.get(own) or AttributeColumn(_path(name, own), "u.properties"), scope)
    if name.text == _CHANNEL:
        return ChannelColumn(scope)
    return _COLUMNS.get(name.text) or AttributeColumn(_path(name, name.text))


def _path(name: Name, text: str) -> tuple[str, ...]:
    path = tuple(text.split("."))
    if len(path) > _MAX_PATH:
        raise InvalidCondition(name.position, f"an attribute lies at most {_MAX_PATH} levels deep")
    return path
