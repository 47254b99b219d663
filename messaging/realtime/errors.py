"""Errors of pub/sub; they reach the subscriber inside SUB_RES or MET_RES."""

from __future__ import annotations

from devices.errors import ApiError


class InvalidSelector(ApiError):
    """The selector is no condition over message headers."""

    code = 5940


class UnknownRealtimeCall(ApiError):
    """This is not supported in real time."""

    code = 5941
