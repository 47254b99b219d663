"""The REST edge of publishing: wire names in, wire answers out."""

from __future__ import annotations
