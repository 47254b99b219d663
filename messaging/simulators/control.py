"""The control port: modes, request log, counts and reset over HTTP; and the page redirects lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from messaging.simulators.exchange import Answer, ConnectionRules, LiveConnection, Reply, Request, json_answer
from messaging.simulators.modes import InvalidMode, Mode, parse_mode
from messaging.simulators.request_log import RequestLog
from messaging.simulators.service_port import ServicePort

REDIRECTED_PATH = "/redirected"
DEFAULT_LINES = 20_000
USAGE = """Provider simulators of Clarion: control
POST /mode      {"service": "fcm", "mode": "429-20", ...}  (fields: messaging/simulators/modes.py)
GET  /modes     the modes in force
GET  /requests  ?since=N&limit=M  JSON lines with a seq above N
GET  /counts    answers per service, last seq, redirects that were followed
POST /reset     normal modes, zero counts, the log listed from here on (the file keeps everything)
"""


class Control:
    """What stands behind the control port."""

    def __init__(self, ports: Mapping[str, ServicePort], log: RequestLog) -> None:
        self.rules = ConnectionRules()
        self.connections: set[LiveConnection] = set()
        self._ports = ports
        self._log = log
        self._followed_redirects = 0
        self._modes: dict[str, Mode] = {}
        self._routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "/"): self._usage,
            ("POST", "/mode"): self._post_mode,
            ("GET", "/modes"): self._get_modes,
            ("GET", "/requests"): self._get_requests,
            ("GET", "/counts"): self._get_counts,
            ("POST", "/reset"): self._post_reset,
        }

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer a request at once."""
        path = urlsplit(request.path).path
        if path == REDIRECTED_PATH:
            self._followed_redirects += 1
        method = "GET" if request.method == "HEAD" else request.method
        route = self._routes.get((method, path))
        reply(route(request) if route else json_answer(404, {"error": f"no {request.method} {path} here"}))

    def set_mode(self, mode: Mode) -> None:
        """Put one service, or all of them, into a mode. Raises InvalidMode for an unknown service."""
        names = self._ports.keys() if mode.service == "*" else [mode.service]
        unknown = set(names) - self._ports.keys()
        if unknown:
            raise InvalidMode(f"No service {mode.service!r}; there are {', '.join(self._ports)}.")
        for name in names:
            self._ports[name].set_mode(mode)
            self._modes[name] = mode

    def reset(self) -> None:
        """Back to normal modes, zero counts and an empty listing."""
        for port in self._ports.values():
            port.reset()
        self._modes.clear()
        self._followed_redirects = 0
        self._log.forget()

    def counts(self) -> dict[str, object]:
        """Return the answers per service."""
        return {
            "services": {name: dict(port.counts) for name, port in self._ports.items()},
            "followed_redirects": self._followed_redirects,
            "last_seq": self._log.last,
        }

    def _usage(self, request: Request) -> Answer:
        return Answer(status=200, headers=(("content-type", "text/plain; charset=utf-8"),), body=USAGE.encode())

    def _post_mode(self, request: Request) -> Answer:
        try:
            self.set_mode(parse_mode(request.body))
        except InvalidMode as err:
            return json_answer(400, {"error": str(err)})
        return self._get_modes(request)

    def _get_modes(self, request: Request) -> Answer:
        return json_answer(200, self._modes)

    def _get_requests(self, request: Request) -> Answer:
        query = parse_qs(urlsplit(request.path).query)
        since, limit = query.get("since", ["0"])[0], query.get("limit", [str(DEFAULT_LINES)])[0]
        if not since.isdecimal() or not limit.isdecimal():
            return json_answer(400, {"error": "since and limit are whole numbers"})
        lines = self._log.read(int(since), int(limit))
        return Answer(status=200, headers=(("content-type", "application/x-ndjson"),), body=lines)

    def _get_counts(self, request: Request) -> Answer:
        return json_answer(200, self.counts())

    def _post_reset(self, request: Request) -> Answer:
        self.reset()
        return json_answer(200, {})
