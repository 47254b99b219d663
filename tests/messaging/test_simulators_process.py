"""Starting and stopping: the management command, ports and keys that outlive a restart, files closed to others."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from messaging.simulators.accounts import demo_accounts, demo_token
from messaging.simulators.behaviours import NORMAL, of_text_token
from messaging.simulators.ports import PATHS, SERVICES
from messaging.simulators.runner import start_in_thread
from tests.messaging.simulator_clients import Client, running_simulators

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "manage.py", "simulate_providers", *arguments]
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_urls_and_stops_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with command("--data-dir", str(tmp_path)) as process:
        urls = json.loads(process.stdout.readline())
        process.send_signal(number)

        assert process.wait(10) == 0
    assert set(SERVICES) < urls.keys()
    assert urls["google_token"].endswith("/token")
    assert Path(urls["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command("--data-dir", str(tmp_path), "--port-base", str(port)) as process:
            errors = process.communicate(timeout=20)[1]

    assert process.returncode == 1
    assert f"CommandError: Port {port} for fcm on 127.0.0.1 cannot be used: Address already in use." in errors


def test_a_restart_comes_back_on_the_same_ports_with_the_same_keys(tmp_path: Path) -> None:
    with running_simulators(tmp_path) as client:
        before, accounts = client.urls, client.accounts
        client.fcm_to(demo_token("fcm", 1))
        token = client.access_token("fcm")
    with running_simulators(tmp_path) as client:
        answer = client.send_fcm({"message": {"token": demo_token("fcm", 2)}}, authorization=f"Bearer {token}")

        assert client.urls == before
        assert client.accounts == accounts
        assert answer.status == 200
    assert len(Path(before["log_file"]).read_text().splitlines()) == 2


def test_two_data_directories_run_side_by_side(tmp_path: Path) -> None:
    with running_simulators(tmp_path / "a") as first, running_simulators(tmp_path / "b") as second:
        assert not set(ports_of(first)) & set(ports_of(second))


def test_a_certificate_is_trusted_by_its_ca_alone_for_both_names(tmp_path: Path) -> None:
    with running_simulators(tmp_path) as client:
        port = urlsplit(client.urls["apns"]).port
        ours = ssl.create_default_context(cafile=client.simulators.ca_file)
        ours.verify_flags |= ssl.VERIFY_X509_STRICT
        for name in ("localhost", "127.0.0.1"):
            with socket.create_connection(("127.0.0.1", port)) as raw, ours.wrap_socket(raw, server_hostname=name):
                pass
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")


def test_private_keys_and_the_log_are_closed_to_others(tmp_path: Path) -> None:
    with running_simulators(tmp_path) as client:
        client.fcm_to(demo_token("fcm", 1))
    folder = tmp_path / "simulators"

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"accounts.json", "ca-with-key.pem", "requests.jsonl", "server-good.pem"} <= modes.keys()


def test_stopping_cuts_hung_requests_and_keeps_their_entries(tmp_path: Path) -> None:
    simulators = start_in_thread(tmp_path)
    client = Client(simulators, tmp_path)
    client.request("POST", client.urls["apns"] + "/3/device/x", {}, b"{}")
    simulators.set_mode("apns", "hang")
    client.request("POST", client.urls["apns"] + "/3/device/x", {}, b"{}", timeout_s=0.2)
    simulators.stop()

    reasons = [json.loads(line)["reason"] for line in Path(client.urls["log_file"]).read_text().splitlines()]
    assert reasons == ["BadDeviceToken", "hang"]


@pytest.mark.parametrize("push_service", ["fcm", "apns", "wns", "webpush"])
def test_demo_tokens_are_distinct_and_always_the_same(push_service: str) -> None:
    urls = {"wns": "https://localhost:1", "webpush": "https://localhost:2"}
    tokens = [demo_token(push_service, n, urls=urls) for n in range(50)]

    assert len(set(tokens)) == 50
    assert tokens == [demo_token(push_service, n, urls=urls) for n in range(50)]


def test_demo_tokens_look_like_the_real_ones() -> None:
    assert len(demo_token("apns", 1)) == 64
    assert demo_token("fcm", 42).partition(":")[2].startswith("APA91b")
    assert of_text_token(demo_token("fcm", 42)) is NORMAL


def test_demo_accounts_are_what_set_credential_takes(tmp_path: Path) -> None:
    urls = {service: f"https://localhost:1{PATHS.get(service, '')}" for service in SERVICES}

    accounts = demo_accounts(tmp_path, urls)

    assert accounts["fcm"]["type"] == "service_account"
    assert accounts["fcm"]["token_uri"] == "https://localhost:1/token"
    assert accounts["apns"].keys() == {"team_id", "key_id", "topic", "environment", "key"}
    assert accounts["wns"].keys() == {"package_sid", "client_secret"}
    assert accounts["webpush"].keys() == {"subject", "private_key"}


def ports_of(client: Client) -> list[int]:
    return [urlsplit(client.urls[service]).port for service in SERVICES]
