"""Faults are injected into real processes that send to the real simulators."""

from __future__ import annotations

from tests.messaging.conftest import simulator_thread, simulators, stage

__all__ = ["simulator_thread", "simulators", "stage"]
