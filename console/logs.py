"""Log lines: one JSON object each, newline-safe, with keys, tokens and credentials masked before they are written."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
#: what must not be read in a log, and what stands there instead; the order matters: paths before long words
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # the REST URL carries the API key as its second segment; the console's begin with /apps
    (re.compile(rf"((?<!/apps)/{_UUID}/)[^/\s\"'?]+"), r"\1***"),
    # a key below a mistyped application id: keys are upper case, ids in addresses of the console are not
    (
        re.compile(r"(?<=[A-Za-z]/)(?<!/apps/)(?=[0-9A-F-]*[A-F])[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}\b(?=/)"),
        "***",
    ),
    (re.compile(r"(?i)\b(authorization\"?'?\s*[:=]\s*\"?'?)(bearer|vapid|basic|key)?[^\r\n\"',}]*"), r"\1\2 ***"),
    (re.compile(r"(?i)\b(bearer|vapid)\s+[A-Za-z0-9._~+/=,\s-]{8,}"), r"\1 ***"),
    # a JSON Web Token
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), "***"),
    (
        re.compile(
            r"(?i)(\"?'?(?:user-token|device_?token|token|password|secret|client_secret|private_key|api_?key|assertion)"
            r"\"?'?\s*[:=]\s*\"?'?)[^\s\"'&,}]+"
        ),
        r"\1***",
    ),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL), "***"),
    # the path of a device's push URL is its secret
    (re.compile(r"(https://[^/\s\"']+/(?:3/device|w|push|wpush|fcm/send)/)[^\s\"']+"), r"\1***"),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def mask(text: str) -> str:
    """The text without anything that opens a door."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


class MaskSecrets(logging.Filter):
    """Mask the finished message of every record; the arguments are merged into it first."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; never drops one."""
        record.msg, record.args = mask(_message(record)), ()
        for name, value in list(vars(record).items()):
            if name not in _STANDARD and isinstance(value, str):
                setattr(record, name, mask(value))
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit their format must not lose the line
        return f"{record.msg} {record.args!r}"


class JsonLine(logging.Formatter):
    """One JSON object on one line: JSON escapes every control character, so a value cannot forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD and _is_plain(value)}
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def _is_plain(value: object) -> bool:
    """Django adds the whole request to some records; a log line takes facts."""
    return isinstance(value, str | int | float | bool)
