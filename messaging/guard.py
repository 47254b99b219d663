"""The mass-drop guard: a wrong environment or account makes every token look dead, and must not cost the audience.

reliability.md 1.5: refusals that a fault of ours explains as well as a dead token deactivate a registration only
while they are rare, in a lane that is known to work.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

#: answers before the lane as a whole is judged
ENOUGH_ANSWERS = 200
#: share of doubtful refusals above which we are at fault
TOO_MANY = 0.2
#: answers that are remembered; older ones count for half, a quarter, and so on. An environment that goes wrong after a
#: million good answers costs some 300 registrations, not 250,000, and a cluster of stale tokens stops nobody
_REMEMBERED = 2_000
#: requests in a row without an answer: the push service is down, its devices wait without holding up anybody else's
SILENT = 10
#: devices that a key may be refused for before it is the key's fault, where nobody was accepted (reliability.md 1.3)
_FEW_KEYS = 3
#: answers before a single doubtful refusal is believed
_FEW_ANSWERS = 20


@dataclass(slots=True)
class DropGuard:
    """Counts the latest answers of one lane in one process."""

    answers: int = 0
    suspects: int = 0
    suspicion: str = ""  #: the reason of the latest doubtful refusal
    unanswered: int = 0  #: in a row
    keys_refused: int = 0
    is_proven: bool = False  #: something was accepted
    has_accepted: bool = False  #: since it was last noted, as the next one
    last_failure: str = ""

    def count(self, *, suspect: bool, unanswered: bool = False, reason: str = "") -> None:
        """Take note of one answer, or of its lack."""
        if self.answers == _REMEMBERED:
            self.answers, self.suspects = self.answers // 2, self.suspects // 2
        self.answers += 1
        self.unanswered = self.unanswered + 1 if unanswered else 0
        if suspect:
            self.suspects += 1
            self.suspicion = reason

    def accept(self) -> None:
        """Take note that a notification was taken."""
        self.has_accepted = self.is_proven = True

    def refuse_key(self) -> bool:
        """Take note that our key was refused for a device; whether it is refused for all of them."""
        self.keys_refused += 1
        return self.keys_refused > _FEW_KEYS and not self.is_proven

    @property
    def share(self) -> float:
        """Doubtful refusals per answer, of the latest ones."""
        return self.suspects / self.answers if self.answers else 0.0

    @property
    def has_tripped(self) -> bool:
        """The lane must stop: our credential, topic or environment is wrong."""
        return self.answers >= ENOUGH_ANSWERS and self.share > TOO_MANY

    def room(self, on_wire: int) -> int:
        """Requests that may leave while it is open whose fault the refusals are: what it takes to judge, no more."""
        if self.share <= TOO_MANY or self.answers >= ENOUGH_ANSWERS:
            return sys.maxsize
        return ENOUGH_ANSWERS - self.answers - on_wire

    @property
    def is_silent(self) -> bool:
        """The push service has stopped answering."""
        return self.unanswered >= SILENT

    @property
    def may_drop(self) -> bool:
        """Doubtful refusals are rare enough to be the tokens' fault."""
        return self.answers >= _FEW_ANSWERS and self.share <= TOO_MANY
