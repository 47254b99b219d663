"""Whole-service modes: what the control URL can ask of every request of a service."""

from __future__ import annotations

import msgspec

from messaging.simulators.behaviours import Behaviour, parse_behaviour
from messaging.simulators.exchange import Certificate, ConnectionRules


class InvalidMode(ValueError):
    """A mode or a service the simulators do not know."""


class Mode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service treats all its requests; every field has the ordinary service as its default."""

    service: str = "*"  #: one of the names in the start line, or * for all
    mode: str = "normal"  #: a word of behaviours.py with its number, e.g. `429-20`
    every: int = 1  #: the mode meets every n-th request only
    first: int = 0  #: the mode meets the first n requests of each token only (0 = all)
    latency_ms: int = 0  #: added to every answer
    max_streams: int = 0  #: SETTINGS_MAX_CONCURRENT_STREAMS; 0 = the service's own number
    one_stream_first: bool = True  #: APNs: one stream until a valid token was seen
    goaway_every: int = 0  #: GOAWAY after so many requests on a connection
    drain: bool = True  #: answer the streams at or below the GOAWAY's last-stream-id before closing
    token_update_s: int = 0  #: APNs: a new provider token within so many seconds of the last is refused (Apple: 1,200)

    certificate: Certificate = Certificate.GOOD  #: what new connections see; open ones are cut when it changes

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant."""
        numbers = (self.first, self.latency_ms, self.max_streams, self.goaway_every, self.token_update_s)
        if self.every < 1 or min(numbers) < 0:
            raise ValueError("every must be at least 1, the other numbers at least 0")
        parse_behaviour(self.mode)

    @property
    def behaviour(self) -> Behaviour:
        """The behaviour every met request gets."""
        return parse_behaviour(self.mode)

    def rules(self, usual: ConnectionRules) -> ConnectionRules:
        """Return the service's usual connection rules with this mode's changes."""
        return ConnectionRules(
            max_streams=self.max_streams or usual.max_streams,
            is_one_stream_first=usual.is_one_stream_first and self.one_stream_first,
            goaway_every=self.goaway_every,
            is_drained=self.drain,
            goaway_debug=usual.goaway_debug,
            certificate=self.certificate,
        )


NORMAL_MODE = Mode()


def parse_mode(body: bytes) -> Mode:
    """Read a mode from JSON. Raises InvalidMode with a sentence for the caller."""
    try:
        return msgspec.json.decode(body, type=Mode)
    except msgspec.MsgspecError as err:
        raise InvalidMode(str(err)) from err
