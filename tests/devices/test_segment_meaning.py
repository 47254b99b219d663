"""Segment queries at random: SQL finds the devices that an evaluator written apart from it finds, whatever is asked."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.errors import InvalidSegmentQuery
from devices.models import Application, DeviceRegistration
from devices.segment_lookups import KeptLookups
from devices.segment_query import check, to_sql
from devices.segment_scope import Reading, Scope
from devices.user_models import AppUser
from tests.devices.segment_meaning import COLUMNS, TIMES, Tree, holds, written
from tests.factories import make_application, make_registration

pytestmark = pytest.mark.django_db

_PIECES = [*"ab'\"%()=<>!,.0- \n\\", " AND ", " NOT ", " IN ", " LIKE ", " BETWEEN ", " NULL", "a = 1", "ESCAPE"]

CHANNELS = ["default", "news", "50%_off", "O'Hara\\'s"]
_HELD = [(), ("default",), ("default", "news"), ("news", "50%_off"), ("O'Hara\\'s",), ("default", "50%_off")]
_ODD = [
    "",
    "a",
    "A",
    "O'Hara",
    "50%",
    "_",
    "\\",
    "%s",
    "{}",
    '"',
    "Ünï",
    "e\u0301",
    "😀",
    "a\nb",
    "x'); DROP TABLE y;--",
]
_DIGITS = ["10", "9", "-3", "007", "9.50", "14.2.1", "1e3", "true", "null"]
TEXTS = st.sampled_from(_ODD + _DIGITS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4
)
NUMBERS = st.integers(-20, 20) | st.sampled_from([9.5, -0.5, 14.2])
LITERALS = TEXTS | NUMBERS | st.booleans()
ORDERED = TEXTS | NUMBERS
ATTRIBUTES = ["age", "sp ace", "and", "ключ", "a'b", 'x"y', "%s", "shop.city", "shop.deep.er"]
NAMES = st.sampled_from([*COLUMNS, *ATTRIBUTES, "user.name", "user.email", "user.login", "user.age", "user.shop.city"])
MOMENTS = st.integers(1, 5).map(lambda n: 1_700_000_000_000 + n * 1000)
SIGNS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])

USERS: list[dict[str, Any]] = [
    {"login": "Ann@x", "email": "", "name": "Ann", "properties": {"age": 30, "shop": {"city": "Ünï"}}},
    {"login": "50%", "email": "a", "name": "", "properties": {"age": "9", "shop": 5}},
]


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, str | None]:
    """A LIKE pattern and its escape character; it never ends in that."""
    pieces = draw(st.lists(st.sampled_from(["%", "_", "a", "O'", "5", "0", "\\", "Ü", "."]), max_size=5))
    if draw(st.booleans()):
        return "".join(pieces), None
    escaped = ["!" + piece if draw(st.booleans()) else piece for piece in pieces]
    return "".join(escaped), "!"


@st.composite
def predicates(draw: st.DrawFn) -> Tree:
    """One comparison of a column, an attribute, a channel or a time."""
    kind = draw(st.sampled_from(["compare", "compare", "in", "like", "null", "between", "channel", "time"]))
    name, negated = draw(NAMES), draw(st.booleans())
    if kind == "channel":
        name, kind = "channelName", draw(st.sampled_from(["in", "like", "null", "equal"]))
    if kind == "equal":
        return ("compare", name, draw(st.sampled_from(["=", "<>"])), draw(st.sampled_from([*CHANNELS, "DEFAULT", "x"])))
    if kind == "time":
        return ("compare", draw(st.sampled_from(TIMES)), draw(SIGNS), draw(MOMENTS))
    if kind == "compare":
        sign = draw(SIGNS)
        return (kind, name, sign, draw(LITERALS if sign in ("=", "<>") else ORDERED))
    if kind == "in":
        options = st.sampled_from(CHANNELS) if name == "channelName" else LITERALS
        return (kind, name, draw(st.lists(options, min_size=1, max_size=4)), negated)
    if kind == "between":
        return (kind, name, draw(ORDERED), draw(ORDERED), negated)
    return (kind, name, *draw(patterns()), negated) if kind == "like" else (kind, name, negated)


def _joined(parts: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(parts, min_size=2, max_size=3)
    return st.tuples(st.sampled_from(["and", "or"]), several) | st.tuples(st.just("not"), parts)


TREES = st.recursive(predicates(), _joined, max_leaves=6)
VALUES = st.none() | TEXTS | NUMBERS | st.booleans()
NESTED = st.fixed_dictionaries(
    {}, optional={"city": VALUES, "deep": st.fixed_dictionaries({}, optional={"er": VALUES})}
)
ROWS = st.fixed_dictionaries(
    {
        "deviceId": TEXTS.filter(bool),
        "operatingSystemName": st.sampled_from(["IOS", "ANDROID", "WEB"]),
        "operatingSystemVersion": TEXTS,
        "userId": st.sampled_from(["", "u0", "u1", "nobody", "10"]),
        "locale": TEXTS,
        "timeZone": st.sampled_from(["", "Europe/Berlin"]),
        "created": MOMENTS,
        "updated": MOMENTS,
        "expiration": st.none() | MOMENTS,
        "attributes": st.fixed_dictionaries(
            {}, optional={name: VALUES for name in ATTRIBUTES if "." not in name} | {"shop": VALUES | NESTED}
        ),
    }
)


@pytest.fixture
def application() -> Application:
    """Devices of every set of channels and two users; what else they are is made up for each query."""
    application = make_application()
    for held in _HELD:
        device = make_registration(application, channels=held or ("default",))
        if not held:
            device.channels.clear()
    for number, user in enumerate(USERS):
        AppUser.objects.create(application=application, object_id=f"u{number}", password="hash", **user)
    return application


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tree=TREES,
    rows=st.lists(ROWS, min_size=6, max_size=6),
    seed=st.integers(0, 2**32),
    way=st.tuples(st.sampled_from(Reading), st.sampled_from([0, 1, 1_000])),
)
def test_sql_means_what_the_query_says(
    application: Application, tree: Tree, rows: list[dict[str, Any]], seed: int, way: tuple[Reading, int]
) -> None:
    ids = list(DeviceRegistration.objects.values_list("pk", flat=True).order_by("pk"))
    query = written(tree, Random(seed))

    found = _found(application, query, dict(zip(ids, rows, strict=True)), *way)

    meant = {pk for pk, row, held in zip(ids, rows, _HELD, strict=True) if holds(tree, _device(row, held))}
    assert found == meant, query


def _device(row: dict[str, Any], held: tuple[str, ...]) -> dict[str, Any]:
    user = {"u0": USERS[0], "u1": USERS[1]}.get(row["userId"])
    times = {name: None if row[name] is None else _moment(row[name]) for name in TIMES}
    return row | times | {"channels": list(held), "user": user}


def _moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def _found(
    application: Application, query: str, rows: dict[int, dict[str, Any]], reading: Reading, few: int
) -> set[int]:
    """Ids of the rows that match, asked of the SQL; `r` is made of them, so that nothing need be stored.

    `few`: as many devices and users are named by their ids.
    """
    columns = {
        "operatingSystemName": "os",
        "operatingSystemVersion": "os_version",
        "deviceId": "device_id",
        "userId": "user_id",
        "timeZone": "time_zone",
        "created": "created_at",
        "updated": "last_seen_at",
    }
    records = [
        {columns.get(name, name): value for name, value in _device(row, ()).items()}
        | {"id": pk, "application_id": application.pk}
        for pk, row in rows.items()
    ]

    lookups = KeptLookups(application.pk, few=few)
    scope = Scope(application_pk=application.pk, lookups=lookups, ids=(0, max(rows)), reading=reading)
    sql = to_sql(query, scope)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id FROM jsonb_populate_recordset(NULL::devices_deviceregistration, %s::jsonb) r "  # noqa: S608
            f"{sql.joins} WHERE {sql.text}",
            [json.dumps(records, default=str), *sql.params],
        )
        return {row[0] for row in cursor.fetchall()}


@pytest.mark.parametrize(
    "query",
    [
        "(" * 10_000 + "a = 1" + ")" * 10_000,
        "(" * 4_000,
        "NOT " * 1_000 + "a = 1",
        "a = '" + "x" * 1_000_000 + "'",
        "a = '" + "'" * 4_000,
        '"' * 4_001,
        "a = 1\0",
        "a = '\ud800'",
        "a" + ".b" * 2_000 + " = 1",
        "a = " + "9" * 4_000,
        "a LIKE '" + "!" * 4_001 + "' ESCAPE '!'",
        " " * 4_095 + "=",
        "created > 1e99",
        "created > -99999999999999999999999999999999999999",
        "created > 'NaN'",
        "objectId LIKE",
    ],
    ids=range(16),
)
def test_hostile_text_is_refused_at_once_and_at_a_place(query: str) -> None:
    began = time.process_time()

    with pytest.raises(InvalidSegmentQuery, match=r"segmentQuery, character [0-9]+: "):
        check(query)

    assert time.process_time() - began < 0.5


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=20).map("".join))
def test_no_text_breaks_the_parser(query: str) -> None:
    try:
        check(query)
    except InvalidSegmentQuery as error:
        place = int(str(error).partition("character ")[2].partition(":")[0])
        assert 1 <= place <= len(query) + 1
