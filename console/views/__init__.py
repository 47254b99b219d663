"""One page, one function: look up, parse, call one step, answer."""

from __future__ import annotations
