"""What the container files promise to whoever starts them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_pages_and_live_subscribers_are_reached_from_the_machine() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    command = re.search(r'"--port", "(\d+)"', (ROOT / "Dockerfile").read_text())

    assert command is not None
    port = int(command[1])
    assert f'"127.0.0.1:{port}:{port}"' in compose
    assert f'"127.0.0.1:{port + 1}:{port + 1}"' in compose


def test_what_a_proxy_in_front_asks_for_can_be_set() -> None:
    compose = (ROOT / "compose.yaml").read_text()

    for name in ("CLARION_PUBLIC_URL", "CLARION_RT_URL", "CLARION_BEHIND_PROXY", "ALLOWED_HOSTS"):
        assert f"{name}: ${{{name}:-" in compose
