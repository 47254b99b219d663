"""Selectors: SQL-92 conditions over headers, closed and bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.conditions import MAX_DEPTH, MAX_LENGTH, InvalidCondition, parse_condition
from messaging.realtime.selectors import MAX_COMPARISONS, predicate_of

HEADERS = {"importance": "high", "customerId": "55561", "foo": "20", "name": "O'Hara 50%", "empty": "", "a-b": "x"}


@pytest.mark.parametrize(
    "selector",
    [
        "importance = 'high' and customerId = 55561",  # the documentation's sample
        "foo > 10",
        "foo > '10'",
        "foo = 20.0",
        "foo = 2e1",
        "10 < foo",
        "foo <> 21",
        "foo != 21",
        "foo <= 20 AND foo >= 20",
        "foo between 20 and 30",
        "foo not between 21 and 30",
        "foo in (1, 20)",
        "importance not in ('low', 'normal')",
        "name like 'O''H%'",
        "name like '%50!%' escape '!'",
        "name like '_''Hara%'",
        "name not like '%60%'",
        "missing is null",
        "foo is not null",
        "empty = ''",
        "not (foo = 21)",
        "NOT foo = 21 AND NOT foo = 22",
        "missing = 1 or foo = 20",
        "((foo = 20))",
        "a-b = 'x'",
        "\"a-b\" = 'x'",
        "foo = customerId or 1 = 1",
    ],
)
def test_a_selector_that_holds_matches(selector: str) -> None:
    assert predicate_of(selector)(HEADERS)


@pytest.mark.parametrize(
    "selector",
    [
        "foo > 100",
        "foo > 'abc'",
        "importance = 'HIGH'",
        "foo not in (20)",
        "foo between 30 and 10",
        "name like 'o%'",
        "foo is null",
        "importance > 5 and importance < 5",
    ],
)
def test_a_selector_that_does_not_hold_does_not_match(selector: str) -> None:
    assert not predicate_of(selector)(HEADERS)


@pytest.mark.parametrize(
    "selector",
    [
        "missing = 1",
        "missing <> 1",
        "NOT (missing = 1)",
        "missing not in (1, 2)",
        "missing not like '%'",
        "missing not between 1 and 2",
        "NOT (missing = 1 AND foo = 20)",
    ],
)
def test_a_message_without_the_header_never_matches(selector: str) -> None:
    assert not predicate_of(selector)(HEADERS)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, "expected a name or a value, found the end"),
        ("foo", 4, "expected a comparison, BETWEEN, IN, LIKE or IS NULL, found the end"),
        ("foo = ", 7, "expected a name or a value, found the end"),
        ("foo = 1 bar", 9, "expected AND, OR or the end, found 'bar'"),
        ("foo=123 & age>35", 9, "unexpected '& age>35'"),
        ("foo = 'a", 7, "the quote is never closed"),
        ("(foo = 1", 9, "expected ), found the end"),
        ("foo in ()", 9, "expected a value, found )"),
        ("foo in (bar)", 9, "expected a value, found 'bar'"),
        ("foo not = 1", 9, "expected BETWEEN, IN or LIKE, found ="),
        ("foo like 5", 10, "expected a pattern in single quotes, found 5"),
        ("foo like 'a' escape 'bc'", 21, "ESCAPE takes exactly one character"),
        ("foo like 'a!' escape '!'", 10, "the pattern ends in its escape character"),
        ("5 is null", 1, "only a name can be NULL"),
        ("foo = 1e999", 7, "unexpected '1e999'"),
        ("foo = '\x00'", 8, "NUL and half characters cannot be used"),
        ("foo = 1; drop table x", 8, "unexpected '; drop table x'"),
        ("foo = (select 1)", 7, "expected a name or a value, found ("),
    ],
)
def test_what_is_no_condition_is_refused_at_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(InvalidCondition) as refused:
        parse_condition(text)

    assert (refused.value.position, refused.value.reason) == (position, reason)
    assert str(refused.value) == f"at character {position}: {reason}"


def test_a_condition_may_be_as_deep_and_long_as_promised_and_no_more() -> None:
    parse_condition("(" * MAX_DEPTH + "a = 1" + ")" * MAX_DEPTH)
    parse_condition(" or ".join(["a=1"] * 585)[:MAX_LENGTH].rpartition(" or ")[0])

    for deep in ("(" * (MAX_DEPTH + 1) + "a = 1" + ")" * (MAX_DEPTH + 1), "NOT " * (MAX_DEPTH + 1) + "a = 1"):
        with pytest.raises(InvalidCondition, match="more than 32 levels"):
            parse_condition(deep)
    with pytest.raises(InvalidCondition, match="at most 4096 characters"):
        parse_condition("a = 1" + " " * MAX_LENGTH)


@pytest.mark.parametrize(
    ("joined", "one", "comparisons"),
    [
        (" or ", "a=1", 1),
        (" and ", "not (a like 'b')", 1),
        (" or ", "a is null", 1),
        (" or ", "a between 1 and 2", 2),
        (" or ", "a in (1, 2, 3, 4, 5)", 5),
    ],
)
def test_a_selector_takes_fifty_comparisons_and_no_more(joined: str, one: str, comparisons: int) -> None:
    full = joined.join([one] * (MAX_COMPARISONS // comparisons))
    predicate_of(full)

    with pytest.raises(InvalidCondition, match=f"at character {len(full + joined) + 1}: more than 50 comparisons"):
        predicate_of(f"{full}{joined}b = 1")


def test_few_selectors_are_remembered() -> None:
    for number in range(1_000):
        predicate_of(f"a = {number}")

    assert predicate_of.cache_info().currsize <= 128


@pytest.mark.parametrize("pattern", ["%a" * 100 + "b", "%" * 2_000, "_%" * 500 + "z", "%" + "a" * 2_000 + "b"])
def test_no_pattern_takes_long(pattern: str) -> None:
    wanted = predicate_of(f"text like '{pattern}'")

    started = time.perf_counter()
    wanted({"text": "a" * 4_096})

    assert time.perf_counter() - started < 0.5


@given(st.text(alphabet="ab%_!", max_size=8), st.text(alphabet="ab%", max_size=8))
def test_like_agrees_with_its_definition(pattern: str, text: str) -> None:
    assert predicate_of(f"t like '{pattern}'")({"t": text}) is matches(pattern, text)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        predicate_of(text)({})
    except InvalidCondition as refused:
        assert 1 <= refused.position <= len(text) + 1


def matches(pattern: str, text: str) -> bool:
    """LIKE by its definition, character by character."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and matches(pattern[1:], text[1:])
