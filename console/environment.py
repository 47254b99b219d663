"""Read settings from the environment, each as one type; a value that makes no sense ends the start with one sentence.

Every setting `NAME` may also come from the file that `NAME_FILE` names (Docker and systemd secrets).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from devices.rates import Rate, parse_rate

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
SHORTEST_SECRET = 32  # characters; 128 bits even when they are hexadecimal digits

#: libpq's: without them a process waits for up to 16 minutes for a server that was cut off from it. 15 s is half of
#: the time after which others take over what the process holds
SERVER_GONE = {
    "connect_timeout": "5",
    "tcp_user_timeout": "15000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "1",
}


class ConfigurationError(Exception):
    """A setting that makes no sense: one sentence, beginning with the variable's name, for whoever starts Clarion."""


def _raw(name: str) -> str | None:
    """The value as given; None when the variable is unset or empty, as compose files leave it."""
    value, file = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and file:
        raise ConfigurationError(f"{name} and {name}_FILE are both set; keep one.")
    return (_file_content(f"{name}_FILE", Path(file)) if file else value) or None


def _file_content(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as err:
        raise ConfigurationError(f"{variable} names {path}, which cannot be read: {err.strerror}.") from err
    except UnicodeDecodeError as err:
        raise ConfigurationError(f"{variable} names {path}, which is not UTF-8 text.") from err


def env_str(name: str, default: str = "") -> str:
    """The text of a setting, without surrounding spaces."""
    value = _raw(name)
    return default if value is None else value.strip()


def env_bool(name: str, default: bool = False) -> bool:
    """1/true/yes/on or 0/false/no/off, in any letter case."""
    value = _raw(name)
    if value is None:
        return default
    word = value.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ConfigurationError(f"{name} must be true or false, not {value!r}.")
    return word in TRUE_WORDS


def env_int(name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number within the bounds given."""
    value = _raw(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError as err:
        raise ConfigurationError(f"{name} must be a whole number, not {value!r}.") from err
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise ConfigurationError(f"{name} must be {_bounds(minimum, maximum)}, not {number}.")
    return number


def _bounds(minimum: int | None, maximum: int | None) -> str:
    if minimum is None or maximum is None:
        return f"at most {maximum}" if minimum is None else f"at least {minimum}"
    return f"from {minimum} to {maximum}"


def env_list(name: str, default: Sequence[str] = ()) -> list[str]:
    """Words between commas, empty ones left out."""
    value = _raw(name)
    return list(default) if value is None else [word.strip() for word in value.split(",") if word.strip()]


def env_choice(name: str, default: str, choices: Sequence[str]) -> str:
    """One of the words, in any letter case."""
    word = env_str(name, default).upper()
    if word not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {word!r}.")
    return word


def env_rate(name: str, default: str) -> Rate | None:
    """So many in a time: `20/s burst 100`, `30/min`, `500/h`; None for 0, which is no limit."""
    value = env_str(name, default)
    try:
        return parse_rate(value)
    except ValueError as err:
        raise ConfigurationError(f"{name} must be 0 or like 20/s, 30/min or 20/s burst 100, not {value!r}.") from err


def env_path(name: str, default: Path) -> Path:
    """An absolute path; `~` is the home folder, a relative path counts from the working directory."""
    value = _raw(name)
    return default if value is None else Path(value.strip()).expanduser().absolute()


def env_secret(name: str, default: str | None = None) -> str:
    """A secret of 32 characters or more; without a default it must be set. Its value never enters a message."""
    value = _raw(name)
    if value is None:
        if default is None:
            raise ConfigurationError(f"{name} must be set, or {name}_FILE name a file that holds it.")
        return default
    if len(value) < SHORTEST_SECRET:
        raise ConfigurationError(f"{name} must have at least {SHORTEST_SECRET} characters.")
    return value


def env_url(name: str, default: str) -> str:
    """The http or https address of a service, without a final slash."""
    value = env_str(name, default).rstrip("/")
    parts = _split_url(name, value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{name} must be an http or https address, not {value!r}.")
    return value


def _split_url(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access: raises for a port that is no number
    except ValueError as err:
        raise ConfigurationError(f"{name} is not a URL: {err}.") from err
    return parts


def database_from_url(url: str) -> dict[str, object]:
    """Django's DATABASES entry for `postgresql://user:password@host:port/name?option=value` (libpq's URI form).

    `?host=/folder` names a Unix socket; other parameters (sslmode, options, ...) go to libpq as they are.
    """
    parts = _split_url("DATABASE_URL", url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ConfigurationError("DATABASE_URL must start with postgresql:// since Clarion works on PostgreSQL only.")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ConfigurationError("DATABASE_URL must end with the name of a database, as in postgresql://host/clarion.")
    options = SERVER_GONE | dict(parse_qsl(parts.query, keep_blank_values=True))
    return {
        "ENGINE": "devices.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or "") or options.pop("user", ""),
        "PASSWORD": unquote(parts.password or "") or options.pop("password", ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": options.pop("port", "") or str(parts.port or ""),
        "OPTIONS": options,
    }
