"""One service behind one port: judge, apply the mode or the token's behaviour, write the log, answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import Protocol

from messaging.simulators.behaviours import NORMAL, Behaviour, Kind
from messaging.simulators.exchange import Answer, ConnectionRules, LiveConnection, Reply, Request, Verdict
from messaging.simulators.faults import misbehave
from messaging.simulators.modes import NORMAL_MODE, Mode
from messaging.simulators.request_log import RequestLog


class Service(Protocol):
    """What a push service or a token endpoint knows: its rules and its words for refusals."""

    name: str
    usual_rules: ConnectionRules
    is_logged: bool  #: token endpoints are counted, only pushes are logged

    def judge(self, request: Request, mode: Mode) -> Verdict:
        """Judge a request as the real service would."""

    def refuse(self, behaviour: Behaviour) -> Answer | None:
        """Return the service's own refusal for a behaviour; None where it has none."""

    def behaviour(self, token: str) -> Behaviour:
        """Return what a device token asks for."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all ports of a process share."""

    log: RequestLog
    redirect_to: str  #: where the redirect behaviours point


class ServicePort:
    """Answers the requests of one service; the HTTP side hands them in whole."""

    def __init__(self, service: Service, surroundings: Surroundings) -> None:
        self.service = service
        self.rules = service.usual_rules
        self.connections: set[LiveConnection] = set()
        self.counts: Counter[str] = Counter()
        self._mode = NORMAL_MODE
        self._surroundings = surroundings
        self._met_by_mode = 0
        self._seen_by_token: Counter[str] = Counter()

    def handle(self, request: Request, reply: Reply) -> None:
        """Judge a request and answer it, later if a latency says so."""
        answer = self.answer(request)
        if answer.delay_s:
            asyncio.get_running_loop().call_later(answer.delay_s, reply, answer)
        else:
            reply(answer)

    def answer(self, request: Request) -> Answer:
        """Judge a request, count and log it."""
        verdict = self.service.judge(request, self._mode)
        answer = self._steer(verdict)
        if self._mode.latency_ms:
            answer = replace(answer, delay_s=answer.delay_s + self._mode.latency_ms / 1000)
        self.counts[f"{answer.status} {answer.reason}".rstrip()] += 1
        if self.service.is_logged:
            self._surroundings.log.write(self.service.name, request, replace(verdict, answer=answer))
        return answer

    def set_mode(self, mode: Mode) -> None:
        """Follow a mode from the next request on; open connections get its stream limit at once."""
        self._mode = mode
        self._met_by_mode = 0
        self._seen_by_token.clear()
        previous, self.rules = self.rules, mode.rules(self.service.usual_rules)
        for connection in tuple(self.connections):
            if self.rules.certificate is not previous.certificate:
                connection.abort()
            else:
                connection.apply(self.rules)

    def reset(self) -> None:
        """Back to normal, with all counters at zero."""
        self.set_mode(NORMAL_MODE)
        self.counts.clear()

    def _steer(self, verdict: Verdict) -> Answer:
        # A mode is the service being ill: it answers so whatever the request deserves.
        if self._mode.behaviour is not NORMAL and self._mode_meets(verdict.token):
            return self._misbehave(self._mode.behaviour, verdict.answer)
        if not verdict.answer.is_accepted or not verdict.token:
            return verdict.answer
        behaviour = self.service.behaviour(verdict.token)
        if behaviour.kind is Kind.OK or self._is_over(behaviour, verdict.token):
            return verdict.answer
        return self._misbehave(behaviour, verdict.answer)

    def _mode_meets(self, token: str) -> bool:
        if self._mode.first:
            self._seen_by_token[token] += 1
            if self._seen_by_token[token] > self._mode.first:
                return False
        self._met_by_mode += 1
        return self._met_by_mode % self._mode.every == 0

    def _is_over(self, behaviour: Behaviour, token: str) -> bool:
        if not behaviour.times:
            return False
        self._seen_by_token[token] += 1
        return self._seen_by_token[token] > behaviour.times

    def _misbehave(self, behaviour: Behaviour, accepted: Answer) -> Answer:
        answer = misbehave(behaviour, accepted, self.service.refuse, self._surroundings.redirect_to)
        return replace(answer, trace=accepted.trace)
