"""How many requests may be on the wire: of one drain, of each lane beside the others, and of what is still in doubt.

Lanes share evenly what none of them leaves over; one whose answers stay out leaves its part to the others but for ten.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from messaging.batch_run import BatchRun
from messaging.providers.base import Provider

#: requests on the wire plus results not yet written: what a kill -9 can double (reliability.md P4)
WINDOW = 300
#: results written together: a commit costs 0.3 ms, shared by this many devices
FLUSH_AT = 100
#: on the wire of all lanes: two connections carry no more. The rest of the window is for results and for a lane that
#: comes when another, whose answers stay out, has taken all of this
_ON_WIRE = WINDOW - FLUSH_AT
#: requests on the wire before the first one of a message was accepted: a wrong payload burns few devices
_UNPROVEN = 10
#: a lane that had no answer to anything for this long is the last to get a part
_SILENT_AFTER_S = 2.0


class Window:
    """Belongs to one drain and looks at its runs (`runs` is the drain's own list)."""

    def __init__(self, runs: Sequence[BatchRun]) -> None:
        self._runs = runs
        self._parts: dict[Provider, int] = {}
        self._proven: set[tuple[int, Provider]] = set()
        self._heard_at: dict[Provider, float] = {}
        self._silent: set[Provider] = set()

    @property
    def unwritten(self) -> int:
        """Results not yet recorded."""
        return sum(run.unwritten for run in self._runs)

    @property
    def room(self) -> int:
        """Requests that may still leave."""
        return WINDOW - self.unwritten - sum(run.on_wire for run in self._runs)

    def divide(self) -> None:
        """Give every lane in hand its part; to be called before requests leave."""
        wanted: Counter[Provider] = Counter()
        on_wire: Counter[Provider] = Counter()
        for run in self._runs:
            wanted[run.provider] += self._wanted_by(run)
            on_wire[run.provider] += run.on_wire
        self._listen(on_wire)
        kept = _UNPROVEN * len(self._silent)
        left = self._share(wanted, wanted.keys() - self._silent, _ON_WIRE - kept)
        self._share(wanted, self._silent, left + kept)

    def _listen(self, on_wire: Counter[Provider]) -> None:
        """Find out whose answers stay out."""
        now = time.monotonic()
        self._silent.clear()
        for provider, count in on_wire.items():
            if not count:
                self._heard_at[provider] = now  # it has nothing to answer
            elif now - self._heard_at[provider] > _SILENT_AFTER_S:
                self._silent.add(provider)

    def _share(self, wanted: Counter[Provider], lanes: Iterable[Provider], left: int) -> int:
        """Give the lanes even parts of `left`, those that can use least first; what they leave over."""
        ascending = sorted(lanes, key=wanted.__getitem__)
        for taken, provider in enumerate(ascending):
            self._parts[provider] = min(wanted[provider], left // (len(ascending) - taken))
            left -= self._parts[provider]
        return left

    def heard(self, provider: Provider) -> None:
        """It answered, whatever it said."""
        self._heard_at[provider] = time.monotonic()

    @property
    def has_silent_lane(self) -> bool:
        """Whether requests are on the wire of a lane that does not answer."""
        return bool(self._silent)

    def allowance(self, run: BatchRun) -> int:
        """How many requests of the run may leave now."""
        if run.is_stopped or not run.unsent:
            return 0
        lane = [other for other in self._runs if other.provider is run.provider]
        on_wire = sum(other.on_wire for other in lane)
        allowed = min(self.room, self._parts[run.provider] - on_wire, run.guard.room(on_wire))
        if not self._is_proven(run):
            same = (other.on_wire for other in lane if other.batch.occurrence_id == run.batch.occurrence_id)
            allowed = min(allowed, _UNPROVEN - sum(same))
        return max(0, allowed)

    def prove(self, run: BatchRun) -> None:
        """A request of the run was accepted: its message and the credential are good."""
        self._proven.add((run.batch.occurrence_id, run.provider))

    def doubt(self, provider: Provider) -> None:
        """Its access token was refused: a few requests are to show what the next one is worth."""
        self._proven = {known for known in self._proven if known[1] is not provider}

    def _is_proven(self, run: BatchRun) -> bool:
        return (run.batch.occurrence_id, run.provider) in self._proven

    def _wanted_by(self, run: BatchRun) -> int:
        if run.is_stopped:
            return run.on_wire
        return run.on_wire + min(len(run.unsent), _ON_WIRE if self._is_proven(run) else _UNPROVEN)
