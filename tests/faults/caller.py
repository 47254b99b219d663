"""Somebody who publishes all the time and remembers the answers, and what the database says afterwards."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from console import postgres

#: stands for a connection that broke or was refused
NO_ANSWER = 0
#: has a row once no firing is open
ALL_ENDED = "SELECT count(*) FROM messaging_occurrence WHERE closed_at IS NULL HAVING count(*) = 0"


@dataclass(slots=True)
class Caller:
    """Publishes a message to nobody again and again, and remembers the answers."""

    data_dir: Path
    port: int
    pause_s: float = 0.2
    answers: Counter[int] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    _should_end: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def calling(self) -> Iterator[Caller]:
        """Call until the block is left."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._should_end.set()
            thread.join()

    def _run(self) -> None:
        keys = json.loads((self.data_dir / "demo.json").read_text())
        url = f"http://127.0.0.1:{self.port}/{keys['application_id']}/{keys['rest_key']}/messaging/nobody"
        while not self._should_end.wait(self.pause_s):
            self._call(url)

    def _call(self, url: str) -> None:
        body = json.dumps({"message": "Hi", "headers": {"android-content-text": "Hi"}}).encode()
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.accepted.add(json.load(answer)["messageId"].lower())
                self.answers[200] += 1
        except urllib.error.HTTPError as error:
            self.answers[error.code] += 1
            error.close()
        except (OSError, http.client.HTTPException):
            self.answers[NO_ANSWER] += 1


def rows(data_dir: Path, query: str) -> list[tuple[Any, ...]]:
    """What the database says; nothing while it is away."""
    address = postgres.running(data_dir)
    if address is None:
        return []
    try:
        with psycopg.connect(address.url) as connection:
            return connection.execute(query).fetchall()
    except psycopg.OperationalError:
        return []


def stored_messages(data_dir: Path) -> set[str]:
    """Ids of the messages in the database, in lower case."""
    return {f"message:{row[0]}" for row in rows(data_dir, "SELECT message_id FROM messaging_message")}
