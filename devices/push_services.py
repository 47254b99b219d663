"""The operating systems devices name and the push services that reach them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag

from django.db import models


class Os(models.TextChoices):
    """`os` of a registration (seed 3); WEB is ours, OSX is seen in the vendor's newer SDKs."""

    ANDROID = "ANDROID", "Android"
    IOS = "IOS", "iOS"
    WP = "WP", "Windows"
    WEB = "WEB", "Web"
    OSX = "OSX", "macOS"


class PushService(models.TextChoices):
    """The service that carries a push to a device (RFC 8030 calls it push service)."""

    FCM = "fcm", "FCM"
    APNS = "apns", "APNs"
    WNS = "wns", "WNS"
    WEBPUSH = "webpush", "Web Push"


class OsMask(IntFlag):
    """`pushBroadcast`: which operating systems a message goes to (seed 0; OSX and WEB: contract.md 2, design.md 6)."""

    NONE = 0
    IOS = 1
    ANDROID = 2
    WP = 4
    OSX = 8
    WEB = 16
    ALL = 31

    @classmethod
    def of(cls, oses: Iterable[Os]) -> OsMask:
        """The mask that names the operating systems."""
        mask = cls.NONE
        for os in oses:
            mask |= cls[os.value]
        return mask

    def os_names(self) -> tuple[Os, ...]:
        """The operating systems in the mask, in the order of `Os`."""
        return tuple(os for os in Os if OsMask[os.value] in self)


NATIVE_PUSH_SERVICE: dict[Os, PushService] = {
    Os.ANDROID: PushService.FCM,
    Os.IOS: PushService.APNS,
    Os.OSX: PushService.APNS,
    Os.WP: PushService.WNS,
    Os.WEB: PushService.WEBPUSH,
}
