"""Header work that HTTP/1.1 and HTTP/2 share."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from time import time

from messaging.simulators.exchange import Answer, Headers


def headers_of(answer: Answer) -> Headers:
    """Return an answer's headers with those every answer carries."""
    length = str(len(answer.body))
    return (*answer.headers, *answer.trace, ("date", _date_of(int(time()))), ("content-length", length))


def repeated_names(headers: list[tuple[str, str]]) -> frozenset[str]:
    """Return the names that occur more than once."""
    names = [name for name, _ in headers]
    if len(set(names)) == len(names):
        return frozenset()
    return frozenset(name for name in names if names.count(name) > 1)


@lru_cache(maxsize=2)
def _date_of(second: int) -> str:
    return formatdate(second, usegmt=True)
