"""What the property test knows by itself: phones, campaigns, whom a campaign must and may reach, how often at most.

Kept apart from the engine's tables, so that the two can be held against each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from devices.push_services import Os
from messaging.simulators.accounts import token_in_log


@dataclass(slots=True, kw_only=True)
class Phone:
    """One registration, active unless `is_gone`."""

    pk: int
    device_id: str
    os: Os
    token: str
    plan: str
    behaviour: str
    is_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Whom a message means."""

    oses: frozenset[Os]
    named: frozenset[str] | None = None  #: device ids
    plan: str = ""  #: of the segment

    def means(self, phone: Phone) -> bool:
        """Whether the phone belongs to the audience now."""
        return (
            not phone.is_gone
            and phone.os in self.oses
            and (self.named is None or phone.device_id in self.named)
            and self.plan in ("", phone.plan)
        )


@dataclass(slots=True, kw_only=True)
class Campaign:
    """One message. `must`: registrations that belonged to its audience all the time; `may`: at any time."""

    message_pk: int
    name: str
    aim: Aim
    may_resend: bool
    version: int = 1
    is_cancelled: bool = False
    must: set[int] = field(default_factory=set)
    may: set[int] = field(default_factory=set)
    #: occurrence -> the registrations it was made for
    retries: dict[int, frozenset[int]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What every notification of it says."""
        return f"{self.name}-version-{self.version}."

    @property
    def old_texts(self) -> list[str]:
        """What none of them may say any more."""
        return [f"{self.name}-version-{version}." for version in range(1, self.version)]


@dataclass(slots=True)
class World:
    """Everything the test did so far."""

    phones: list[Phone] = field(default_factory=list)
    campaigns: dict[int, Campaign] = field(default_factory=dict)
    #: token as the simulators log it -> registrations that held it
    holders: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    #: drains that were killed: each may have doubled what it had on the wire
    deaths: int = 0
    #: drains that were thought dead and went on: the same, and no message is safe from what they had begun
    overtaken: int = 0

    def joined(self, phone: Phone) -> None:
        """A registration is new, or came back."""
        if all(known.pk != phone.pk for known in self.phones):
            self.phones.append(phone)
        phone.is_gone = False
        self.holders[token_in_log(phone.token)].add(phone.pk)
        for campaign in self.campaigns.values():
            if campaign.aim.means(phone):
                campaign.may.add(phone.pk)

    def left(self, phone: Phone) -> None:
        """A registration is gone."""
        phone.is_gone = True
        for campaign in self.campaigns.values():
            campaign.must.discard(phone.pk)

    def aimed(self, campaign: Campaign, aim: Aim) -> None:
        """The campaign means these from now on."""
        campaign.aim = aim
        campaign.may = {phone.pk for phone in self.phones if aim.means(phone)}
        # a dead token ends a registration whenever the first request finds it
        campaign.must = {phone.pk for phone in self.phones if aim.means(phone) and not phone.behaviour}

    def here(self, os: Os | None = None) -> list[Phone]:
        """Phones that are registered."""
        return [phone for phone in self.phones if not phone.is_gone and os in (None, phone.os)]

    def holders_of(self, tokens: Iterable[str]) -> Iterator[tuple[str, set[int]]]:
        """Registrations that ever held each of the tokens."""
        return ((token, self.holders[token]) for token in tokens)
