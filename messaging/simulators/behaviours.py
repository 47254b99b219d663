"""What a device token asks its simulator to do, and how that is written into tokens.

Text tokens (FCM, WNS, Web Push) end in `-WORD`, `-WORD-NUMBER`, and `xTIMES` for "only the first TIMES requests of this
token, then accepted": `...-429-3x2` is refused twice with Retry-After 3. APNs tokens are hex, so their last eight
digits hold `fa CODE NUMBER TIMES`, a byte each; other endings are ordinary devices.

| word       | code | FCM                         | APNs                      | WNS                    | Web Push     |
|------------|------|-----------------------------|---------------------------|------------------------|--------------|
| dead-H     | 01   | 404 UNREGISTERED            | 410 Unregistered, since H hours | 410              | 410          |
| expired-H  | 02   | as dead                     | 410 ExpiredToken          | 410                    | 410          |
| untimed    | 03   | as dead                     | 410 without a timestamp   | 410                    | 410          |
| bad        | 04   | 400 INVALID_ARGUMENT, token | 400 BadDeviceToken        | 404                    | 404          |
| mismatch   | 05   | 403 SENDER_ID_MISMATCH      | 400 DeviceTokenNotForTopic| 403                    | 403          |
| thirdparty | 06   | 401 THIRD_PARTY_AUTH_ERROR  | 403 BadEnvironmentKeyIdInToken | 403               | 403          |
| 400        | 10   | 400 without details         | 400 BadMessageId          | 400                    | 400          |
| 401        | 11   | 401 UNAUTHENTICATED         | 403 ExpiredProviderToken  | 401                    | 401          |
| 403        | 12   | 403 PERMISSION_DENIED       | 403 InvalidProviderToken  | 403                    | 403          |
| 404        | 13   | 404 HTML, no FcmError       | 404 BadPath               | 404                    | 404          |
| 413        | 14   | 400 message is too big      | 413 PayloadTooLarge       | 413                    | 413          |
| 429-S      | 15   | 429 QUOTA_EXCEEDED          | 429 TooManyRequests       | 406                    | 429          |
| 500        | 16   | 500 INTERNAL                | 500 InternalServerError   | 500                    | 500          |
| 502        | 17   | HTML of a gateway           | same                      | same                   | same         |
| 503-S      | 18   | 503 UNAVAILABLE             | 503 ServiceUnavailable    | 503                    | 503          |
| unknown    | 20   | 400 with a reason nobody has documented |||||
| truncated  | 21   | 500 whose JSON stops in the middle (Content-Length fits) |||||
| plain      | 22   | 500 with text/plain |||||
| huge       | 23   | 500 with a body of 1 MB |||||
| 301 302 307 308 | 30-33 | a redirect to the control port, which counts who follows |||||
| slow-MS    | 40   | accepted after MS milliseconds (1,000; hex: NUMBER x 100 ms) |||||
| hang       | 41   | read, never answered |||||
| reset      | 42   | read, then RST_STREAM (HTTP/1.1: connection closed) |||||
| cut        | 43   | read, then the connection is aborted with all its streams |||||
| dropped    | 50   | accepted                    | accepted                  | 200 dropped            | accepted     |
| throttled  | 51   | accepted                    | accepted                  | 200 channelthrottled   | accepted     |
| blocked    | 52   | accepted                    | accepted                  | 410 Domain Blocked     | accepted     |

S is the Retry-After in seconds; without a number the header is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The words of the table above."""

    OK = "ok"
    DEAD = "dead"
    EXPIRED = "expired"
    UNTIMED = "untimed"
    BAD = "bad"
    MISMATCH = "mismatch"
    THIRD_PARTY = "thirdparty"
    S400 = "400"
    S401 = "401"
    S403 = "403"
    S404 = "404"
    S413 = "413"
    S429 = "429"
    S500 = "500"
    S502 = "502"
    S503 = "503"
    UNKNOWN = "unknown"
    TRUNCATED = "truncated"
    PLAIN = "plain"
    HUGE = "huge"
    S301 = "301"
    S302 = "302"
    S307 = "307"
    S308 = "308"
    SLOW = "slow"
    HANG = "hang"
    RESET = "reset"
    CUT = "cut"
    DROPPED = "dropped"
    THROTTLED = "throttled"
    BLOCKED = "blocked"


HEX_CODES: dict[Kind, int] = {
    Kind.DEAD: 0x01,
    Kind.EXPIRED: 0x02,
    Kind.UNTIMED: 0x03,
    Kind.BAD: 0x04,
    Kind.MISMATCH: 0x05,
    Kind.THIRD_PARTY: 0x06,
    Kind.S400: 0x10,
    Kind.S401: 0x11,
    Kind.S403: 0x12,
    Kind.S404: 0x13,
    Kind.S413: 0x14,
    Kind.S429: 0x15,
    Kind.S500: 0x16,
    Kind.S502: 0x17,
    Kind.S503: 0x18,
    Kind.UNKNOWN: 0x20,
    Kind.TRUNCATED: 0x21,
    Kind.PLAIN: 0x22,
    Kind.HUGE: 0x23,
    Kind.S301: 0x30,
    Kind.S302: 0x31,
    Kind.S307: 0x32,
    Kind.S308: 0x33,
    Kind.SLOW: 0x40,
    Kind.HANG: 0x41,
    Kind.RESET: 0x42,
    Kind.CUT: 0x43,
    Kind.DROPPED: 0x50,
    Kind.THROTTLED: 0x51,
    Kind.BLOCKED: 0x52,
}
KIND_OF_CODE = {code: kind for kind, code in HEX_CODES.items()}
HEX_MARK = "fa"
NO_NUMBER = 0xFF  #: a hex token's NUMBER byte for "none given"
SLOW_HEX_UNIT_MS = 100
DEFAULT_SLOW_MS = 1000

_WORDS = "|".join(kind.value for kind in HEX_CODES)
_PATTERN = rf"({_WORDS})(?:-(\d{{1,5}}))?(?:x(\d{{1,3}}))?"
_SUFFIX = re.compile(rf"-{_PATTERN}$")
_WHOLE = re.compile(_PATTERN)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What to do with a request; `times` 0 means every time."""

    kind: Kind
    number: int | None = None
    times: int = 0


NORMAL = Behaviour(Kind.OK)


class UnknownBehaviour(ValueError):
    """The text names no behaviour of the table, or one that does not fit into a hex token."""


def parse_behaviour(text: str) -> Behaviour:
    """Read `429-3x2`; "", `ok` and `normal` are ordinary. Raises UnknownBehaviour."""
    if text in ("", "ok", "normal"):
        return NORMAL
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise UnknownBehaviour(f"{text!r} is no behaviour; the words are {_WORDS.replace('|', ', ')}.")
    return _from_match(match)


def of_text_token(token: str) -> Behaviour:
    """Return what a text token asks for."""
    match = _SUFFIX.search(token)
    return _from_match(match) if match else NORMAL


def of_hex_token(token: str) -> Behaviour:
    """Return what an APNs token asks for; `token` has at least eight hex digits."""
    if token[-8:-6].lower() != HEX_MARK:
        return NORMAL
    code, number, times = bytes.fromhex(token[-6:])
    kind = KIND_OF_CODE.get(code)
    if kind is None:
        return NORMAL
    if number == NO_NUMBER:
        return Behaviour(kind, None, times)
    return Behaviour(kind, number * (SLOW_HEX_UNIT_MS if kind is Kind.SLOW else 1), times)


def hex_ending(behaviour: Behaviour) -> str:
    """Return the eight hex digits that say `behaviour`. Raises UnknownBehaviour when a number is too large."""
    if behaviour.kind is Kind.OK:
        return "00000000"
    unit = SLOW_HEX_UNIT_MS if behaviour.kind is Kind.SLOW else 1
    number = NO_NUMBER if behaviour.number is None else behaviour.number // unit
    if behaviour.times > 0xFF or (number >= NO_NUMBER and behaviour.number is not None):
        raise UnknownBehaviour(f"{behaviour} does not fit into the last eight digits of an APNs token.")
    return f"{HEX_MARK}{HEX_CODES[behaviour.kind]:02x}{number:02x}{behaviour.times:02x}"


def _from_match(match: re.Match[str]) -> Behaviour:
    word, number, times = match.groups()
    return Behaviour(Kind(word), int(number) if number else None, int(times) if times else 0)
