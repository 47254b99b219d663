"""Channels: their name rules, making those that do not exist yet, and deleting them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected

from devices.errors import InvalidChannelName, UnknownChannel
from devices.models import Application, Channel

DEFAULT_CHANNEL = "default"
MAX_CHANNEL_NAME = 128
#: words that are addresses of their own where a channel's name would stand (contract.md 1)
RESERVED_NAMES = frozenset({"push", "pushtemplates", "registrations", "registration", "channels", "email"})

#: as a foreign key's check does: whoever deletes them waits until the transaction ends
_KEEP = "SELECT * FROM devices_channel WHERE application_id = %s AND name = ANY(%s) ORDER BY id FOR KEY SHARE"
_MOST_ROUNDS = 5
_MAX_KNOWN = 50_000
#: (application, name) -> id of channels seen. A deleted one shows as a broken foreign key: see `forget`.
_known: dict[tuple[int, str], int] = {}

#: Waits for nobody: who holds one of these may wait for another, as all do that change many devices at once.
_DELETE_SUBSCRIPTIONS = """
    DELETE FROM devices_subscription WHERE id IN (
        SELECT s.id FROM devices_subscription s
        WHERE s.channel_id = (SELECT c.id FROM devices_channel c WHERE c.application_id = %s AND c.name = %s)
        FOR UPDATE OF s SKIP LOCKED
    )
"""


def channel_name(name: str) -> str:
    """The name as it is stored: the samples' "Default" is the SDKs' "default". Raises InvalidChannelName."""
    if name.lower() == DEFAULT_CHANNEL:
        return DEFAULT_CHANNEL
    if not 0 < len(name) <= MAX_CHANNEL_NAME or name.strip() != name or "/" in name:
        raise InvalidChannelName(field="channel")
    # a name that starts like a message id would never be reached: GET and DELETE take it for one
    if name.lower() in RESERVED_NAMES or name.lower().startswith("message:"):
        raise InvalidChannelName(field="channel")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidChannelName(field="channel")
    return name


def ensure_channels(application: Application, names: Sequence[str]) -> list[Channel]:
    """The channels with these names, in this order and each once, made where they do not exist.

    Inside a transaction nobody deletes them before it ends. Raises InvalidChannelName.
    """
    wanted = list(dict.fromkeys(map(channel_name, names)))
    found: dict[str, Channel] = {}
    while missing := [name for name in wanted if name not in found]:  # again for what was deleted in between
        _insert_missing(application.pk, missing)
        found |= {channel.name: channel for channel in Channel.objects.raw(_KEEP, [application.pk, missing])}
    return [found[name] for name in wanted]


def channel_ids(application_pk: int, names: Sequence[str]) -> list[int]:
    """Ids of the channels, like `ensure_channels`, without a query for those this process has met before.

    An id may belong to a channel that was deleted since: who runs into that calls `forget` and asks again.
    """
    ids = {name: pk for name in names if (pk := _known.get((application_pk, name))) is not None}
    while missing := [name for name in names if name not in ids]:  # again for what was deleted in between
        ids |= _remember(application_pk, missing)
    return [ids[name] for name in names]


def forget(application_pk: int, names: Sequence[str]) -> None:
    """Look these channels up again next time."""
    for name in names:
        _known.pop((application_pk, name), None)


def delete_channel(application: Application, name: str) -> None:
    """Remove the channel, its devices and polling subscriptions; messages keep its name. Raises UnknownChannel (5914).

    Scheduled messages to it then reach no device; live subscribers, who listen to a name, stay. The default channel
    stays: devices that name none are put into it.
    """
    name = channel_name(name)
    if name == DEFAULT_CHANNEL:
        raise InvalidChannelName("The default channel cannot be deleted.", field="channel")
    for rounds_left in reversed(range(_MOST_ROUNDS)):
        try:
            _delete(application, name)
            break
        except OperationalError as error:
            # a device renews the subscription it has, and waits for the channel while its subscription is waited for
            if not rounds_left or not isinstance(error.__cause__, DeadlockDetected):
                raise
    forget(application.pk, [name])


def _delete(application: Application, name: str) -> None:
    named = Channel.objects.filter(application=application, name=name)
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_SUBSCRIPTIONS, [application.pk, name])  # up to every device, while others register
    with transaction.atomic():
        # waits for those whose subscription is not to be seen yet; whoever comes later finds no channel and makes one
        channel = named.select_for_update().first()
        if channel is None:
            raise UnknownChannel()
        channel.delete()


def _remember(application_pk: int, names: Sequence[str]) -> dict[str, int]:
    """Ids by name; without those that somebody deletes at this moment."""
    _insert_missing(application_pk, names)
    if len(_known) > _MAX_KNOWN:
        _known.clear()
    ids = dict(Channel.objects.filter(application=application_pk, name__in=names).values_list("name", "pk"))
    _known.update({(application_pk, name): pk for name, pk in ids.items()})
    return ids


def _insert_missing(application_pk: int, names: Sequence[str]) -> None:
    """In the order of the names: two callers that make the same channels then wait for each other in a line."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO devices_channel (application_id, name) "
            "SELECT %(application)s, wanted.name FROM unnest(%(names)s::text[]) AS wanted(name) "
            "WHERE NOT EXISTS (SELECT FROM devices_channel c "
            "WHERE c.application_id = %(application)s AND c.name = wanted.name) "
            "ORDER BY wanted.name ON CONFLICT DO NOTHING",
            {"application": application_pk, "names": list(names)},
        )
