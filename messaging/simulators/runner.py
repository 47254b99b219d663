"""Starts and stops all simulators: in a thread (tests, demo) or as a process of their own."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import msgspec

from messaging.simulators.accounts import demo_token
from messaging.simulators.modes import Mode
from messaging.simulators.simulation import Simulation, StartOptions

T = TypeVar("T")
START_TIMEOUT_S = 30


class SimulatorHandle:
    """Simulators running in a thread of this process. Every method may be called from any thread."""

    def __init__(self, simulation: Simulation, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self.urls = simulation.urls
        self.ca_file = simulation.urls["ca_file"]
        self._simulation = simulation
        self._loop = loop
        self._thread = thread

    def requests(self) -> list[dict[str, object]]:
        """Return the log's entries since the start or the last reset."""
        log = self._simulation.log
        lines = self._in_loop(lambda: log.read(0, log.last))
        return [msgspec.json.decode(line) for line in lines.splitlines()]

    def counts(self) -> dict[str, object]:
        """Return the answers per service (see control.py)."""
        return self._in_loop(self._simulation.control.counts)

    def set_mode(self, service: str, mode: str = "normal", **fields: int | bool | str) -> None:
        """Put a service (or "*") into a mode; `fields` are those of modes.Mode. Raises ValueError for a wrong one."""
        wanted = msgspec.convert({"service": service, "mode": mode, **fields}, Mode)
        self._in_loop(lambda: self._simulation.control.set_mode(wanted))

    def reset(self) -> None:
        """Normal modes, zero counts, an empty listing."""
        self._in_loop(self._simulation.control.reset)

    def token(self, push_service: str, n: int, behaviour: str = "") -> str:
        """Return a demo device token with these simulators' addresses in it."""
        return demo_token(push_service, n, behaviour, urls=self.urls)

    def stop(self) -> None:
        """Cut all connections, flush the log and end the thread; does nothing the second time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._simulation.stop)
            self._thread.join()

    def _in_loop(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()


def start_in_thread(data_dir: str | Path) -> SimulatorHandle:
    """Start all simulators on ports of their own in a daemon thread; returns when they listen. Raises PortTaken."""
    started: Future[tuple[Simulation, asyncio.AbstractEventLoop]] = Future()
    options = StartOptions(Path(data_dir))
    thread = threading.Thread(target=_run_thread, args=(options, started), name="simulators", daemon=True)
    thread.start()
    simulation, loop = started.result(START_TIMEOUT_S)
    return SimulatorHandle(simulation, loop, thread)


def _run_thread(options: StartOptions, started: Future[tuple[Simulation, asyncio.AbstractEventLoop]]) -> None:
    async def serve() -> None:
        try:
            simulation = await Simulation.start(options)
        except Exception as err:  # noqa: BLE001 - the starting thread raises it
            started.set_exception(err)
            return
        started.set_result((simulation, asyncio.get_running_loop()))
        await simulation.run_until_stopped()

    asyncio.run(serve())


async def serve_until_signal(options: StartOptions, announce: Callable[[dict[str, str]], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets the URLs once every port listens. Raises PortTaken."""
    simulation = await Simulation.start(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, simulation.stop)
    announce(simulation.urls)
    await simulation.run_until_stopped()
