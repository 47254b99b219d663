"""The REST edge of device registration, and the envelope every API view goes through."""

from __future__ import annotations
