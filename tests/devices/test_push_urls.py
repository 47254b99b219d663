from __future__ import annotations

import pytest

from devices.push_urls import InvalidPushUrl, PushUrlPolicy, canonical_push_url, is_public_address

POLICY = PushUrlPolicy()
LOOPBACK = PushUrlPolicy(allow_loopback=True)


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc:def_-1", "https://fcm.googleapis.com/fcm/send/abc:def_-1"),
        (
            "https://updates.push.services.mozilla.com/wpush/v2/x",
            "https://updates.push.services.mozilla.com/wpush/v2/x",
        ),
        ("https://web.push.apple.com/Q?a=b", "https://web.push.apple.com/Q?a=b"),
        (
            "https://wns2-by3p.notify.windows.com/w/?token=a%2bb%3d",
            "https://wns2-by3p.notify.windows.com/w/?token=a%2bb%3d",
        ),
        ("HTTPS://FCM.GoogleApis.com:443/x#fragment", "https://fcm.googleapis.com/x"),
        ("https://fcm.googleapis.com", "https://fcm.googleapis.com/"),
    ],
)
def test_known_push_services_get_one_spelling(url: str, canonical: str) -> None:
    assert canonical_push_url(url, POLICY) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fcm.googleapis.com/x",
        "//fcm.googleapis.com/x",
        "http://fcm.googleapis.com/x",
        "ftp://fcm.googleapis.com/x",
        "javascript:alert(1)",
        "https:///x",
        "https://user@fcm.googleapis.com/x",
        "https://user:secret@fcm.googleapis.com/x",
        "https://127.0.0.1\\@fcm.googleapis.com/x",
        "https://fcm.googleapis.com\\.evil.example/x",
        "https://fcm.googleapis.com%2eevil.example/x",
        "https://%66cm.googleapis.com/x",
        "https://fcm.googleapis.com./x",
        "https://fcm.googleapis.com:22/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com:99999/x",
        "https://fcm.googleapis.com:port/x",
        "https://fcm.googleapis.com/x y",
        "https://fcm.googleapis.com/x\r\nhost: evil",
        "https://fcm.googleapis.com/\x00",
        "https://fcm.googleapis.com/\u00e9",
        "https://\uff46cm.googleapis.com/x",
        "https://evil.example/x",
        "https://evil.example/fcm.googleapis.com/",
        "https://127.0.0.1:8080/x.google.com/",
        "https://169.254.169.254/latest/.google.com/",
        "https://evilfcm.googleapis.com/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://push.apple.com/x",
        "https://xpush.apple.com/x",
        "https://a..push.apple.com/x",
        "https://-a.push.apple.com/x",
        "https://a_b.push.apple.com/x",
        "https://localhost/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[bad/x",
        "https://fcm.googleapis.com/" + "x" * 2048,
    ],
)
def test_every_other_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidPushUrl):
        canonical_push_url(url, POLICY)


def test_refusal_names_the_foreign_host() -> None:
    with pytest.raises(InvalidPushUrl, match="evil.example, which is not a push service"):
        canonical_push_url("https://evil.example/x", POLICY)


def test_administrator_can_allow_another_host() -> None:
    policy = PushUrlPolicy(allowed_suffixes=("*.unified.example", "push.example"))

    assert canonical_push_url("https://a.b.unified.example/x", policy) == "https://a.b.unified.example/x"
    assert canonical_push_url("https://push.example/x", policy) == "https://push.example/x"
    with pytest.raises(InvalidPushUrl):
        canonical_push_url("https://unified.example/x", policy)


@pytest.mark.parametrize("url", ["https://localhost:4711/push/x", "https://127.0.0.1:4711/w/x", "https://localhost/x"])
def test_simulators_are_reached_only_where_loopback_is_allowed(url: str) -> None:
    assert canonical_push_url(url, LOOPBACK) == url
    with pytest.raises(InvalidPushUrl):
        canonical_push_url(url, POLICY)


@pytest.mark.parametrize(
    "url", ["http://localhost:4711/x", "https://127.0.0.2/x", "https://[::1]:1/x", "https://10.0.0.1/x"]
)
def test_loopback_permission_covers_nothing_else(url: str) -> None:
    with pytest.raises(InvalidPushUrl):
        canonical_push_url(url, LOOPBACK)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "142.250.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"]
)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "2001::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2002:a00:1::1", "not an address", ""),
    ],
)
def test_private_and_wrapped_addresses_are_forbidden(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize(
    ("ending", "kept"),
    [("/x?a=b", "/x?a=b"), ("/x?a=?", "/x?a=?"), ("/x?", "/x"), ("/x#y", "/x"), ("//x", "//x"), ("/../x", "/../x")],
)
def test_a_url_of_an_origin_seen_before_is_spelled_as_the_first_one_was(ending: str, kept: str) -> None:
    canonical_push_url("https://fcm.googleapis.com/x", POLICY)

    assert canonical_push_url(f"https://fcm.googleapis.com{ending}", POLICY) == f"https://fcm.googleapis.com{kept}"


def test_an_origin_that_is_no_longer_allowed_is_refused_though_it_was_seen_before() -> None:
    allowed = PushUrlPolicy(allowed_suffixes=("push.example.org",))
    canonical_push_url("https://push.example.org/x", allowed)

    with pytest.raises(InvalidPushUrl):
        canonical_push_url("https://push.example.org/x", PushUrlPolicy())
