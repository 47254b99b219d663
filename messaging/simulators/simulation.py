"""All services of one data directory, listening: what the runner starts and stops."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path

from messaging.simulators.accounts import KEY_ID, PROJECT_ID, TEAM_ID, TOPIC, Accounts, load_accounts
from messaging.simulators.apns import ApnsAccount, ApnsService
from messaging.simulators.control import REDIRECTED_PATH, Control
from messaging.simulators.exchange import Responder
from messaging.simulators.fcm import FcmService
from messaging.simulators.ports import bind_all, urls_of
from messaging.simulators.request_log import RequestLog
from messaging.simulators.saved_files import simulator_dir
from messaging.simulators.server import Listener, listen
from messaging.simulators.service_port import Service, ServicePort, Surroundings
from messaging.simulators.signed_tokens import TokenIssuer
from messaging.simulators.tls import ServerContexts, ca_file
from messaging.simulators.tokens import GoogleAccount, GoogleTokenEndpoint, WnsAccount, WnsTokenEndpoint
from messaging.simulators.webpush import WebPushService
from messaging.simulators.wns import WnsService

GOOGLE_TOKEN_LIFE_S, WNS_TOKEN_LIFE_S = 3600, 86_400


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Where the simulators keep their files and listen."""

    data_dir: Path
    host: str = "127.0.0.1"
    port_base: int = 0  #: first of eight ports in a row; 0 = those of the last run, or free ones


class Simulation:
    """Listening simulators. Make it with `start`, in the event loop it is to run in."""

    def __init__(self, folder: Path, bound: dict[str, socket.socket]) -> None:
        urls = urls_of(bound)
        self.log = RequestLog(folder / "requests.jsonl")
        surroundings = Surroundings(self.log, urls["control"] + REDIRECTED_PATH)
        ports = {item.name: ServicePort(item, surroundings) for item in _services(load_accounts(folder))}
        self.control = Control(ports, self.log)
        self.urls = {
            "ca_file": str(ca_file(folder)),
            **urls,
            "log_file": str(self.log.path),
            "data_dir": str(folder.parent),
        }
        self._responders: dict[str, Responder] = {**ports, "control": self.control}
        self._listeners: list[Listener] = []
        self._stopped = asyncio.Event()

    @classmethod
    async def start(cls, options: StartOptions) -> Simulation:
        """Open every port. Raises PortTaken."""
        folder = simulator_dir(options.data_dir)
        bound = bind_all(folder, options.host, options.port_base)
        simulation = cls(folder, bound)
        contexts = ServerContexts(folder)
        for service, responder in simulation._responders.items():
            simulation._listeners.append(await listen(responder, bound[service], contexts))
        return simulation

    def stop(self) -> None:
        """Let `run_until_stopped` return."""
        self._stopped.set()

    async def run_until_stopped(self) -> None:
        """Serve until `stop` is called; then close the ports, cut the connections and flush the log."""
        await self._stopped.wait()
        for listener in self._listeners:
            await listener.close()
        self.log.close()


def _services(accounts: Accounts) -> list[Service]:
    secret = bytes.fromhex(accounts.token_secret)
    google = TokenIssuer("ya29.", secret, GOOGLE_TOKEN_LIFE_S)
    microsoft = TokenIssuer("EgAcAQMAAAAA", secret, WNS_TOKEN_LIFE_S)
    google_account = GoogleAccount(accounts.google_client_email, accounts.google_public_key())
    wns_account = WnsAccount(accounts.wns_package_sid, accounts.wns_client_secret)
    apple = ApnsAccount(TEAM_ID, KEY_ID, TOPIC, accounts.apns_public_key())
    return [
        FcmService(PROJECT_ID, google),
        GoogleTokenEndpoint("google_token", google, google_account),
        ApnsService("apns", apple),
        ApnsService("apns_sandbox", apple),
        WnsTokenEndpoint("wns_token", microsoft, wns_account),
        WnsService(microsoft),
        WebPushService(accounts.vapid_public_key()),
    ]
