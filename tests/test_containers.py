"""What the container files and the README's systemd units promise to whoever starts them."""

from __future__ import annotations

import configparser
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from console import watchdog
from tests.test_readme import PACKAGES, our_commands, section, variables_read

ROOT = Path(__file__).resolve().parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PARTS = ("web", "sockets", "ticker", "workers")
#: what a drain may still take after its stop signal, in seconds
ENDS_WITHIN = watchdog._STOP_S


def words(service: str) -> list[str]:
    """A service's command after `manage.py`."""
    _, _, command = SERVICES[service]["command"].partition("python manage.py ")
    return command.split()


def copied() -> set[str]:
    """What the image takes from this folder."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    return {source for line in lines for source in line.split()}


def units() -> dict[str, configparser.RawConfigParser]:
    """The README's systemd units by file name."""
    text = section("Deployment")
    found = re.findall(r"`/etc/systemd/system/([\w@-]+\.service)`[^\n]*\n+```ini\n(.*?)```", text, flags=re.DOTALL)
    parsed = {}
    for name, content in found:
        parsed[name] = configparser.RawConfigParser()
        parsed[name].optionxform = str  # systemd minds the case
        parsed[name].read_string(content)
    return parsed


@pytest.mark.parametrize("service", ["prepare", *PARTS])
def test_a_service_runs_the_command_it_is_named_after(service: str) -> None:
    assert words(service)[0] == service
    assert service in our_commands()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_waits_for_the_schema(part: str) -> None:
    assert SERVICES[part]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"


def test_the_schema_waits_for_the_database() -> None:
    assert SERVICES["prepare"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_what_cannot_be_prepared_is_said_instead_of_tried_for_ever() -> None:
    assert SERVICES["prepare"]["restart"] == "no"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_falls_is_started_again_and_one_that_ends_has_time_to(part: str) -> None:
    assert SERVICES[part]["restart"] == "unless-stopped"
    assert SERVICES[part]["init"] is True
    assert int(SERVICES[part]["stop_grace_period"].removesuffix("s")) > 2 * ENDS_WITHIN


@pytest.mark.parametrize("service", ["prepare", *PARTS])
def test_a_service_may_change_nothing_but_its_data(service: str) -> None:
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["volumes"] == ["clarion:/data"]


def test_pages_and_live_subscribers_are_reached_from_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    for name, ports in published.items():
        port = words(name)[words(name).index("--port") + 1]
        assert ports == [f"127.0.0.1:{port}:{port}"]
        assert port in SERVICES[name]["healthcheck"]["test"][-1]
    assert set(published) == {"web", "sockets"}


@pytest.mark.parametrize("service", ["prepare", *PARTS])
def test_every_setting_can_be_given_in_the_env_file(service: str) -> None:
    assert SERVICES[service]["env_file"] == ".env"
    fixed = set(SERVICES[service]["environment"]) & variables_read()

    assert fixed == {"CLARION_DATA_DIR", "DATABASE_URL"}
    assert SERVICES[service]["environment"]["DATABASE_URL"].startswith("${DATABASE_URL:-")


def test_the_database_keeps_its_data_in_the_volume_its_image_expects() -> None:
    """The images of PostgreSQL 18 and newer refuse a volume at /var/lib/postgresql/data."""
    major = int(SERVICES["postgres"]["image"].removeprefix("postgres:"))

    assert major >= 18
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


def test_the_image_holds_every_package_page_and_command() -> None:
    assert copied() - {"uv.lock"} == {*PACKAGES, "templates", "static", "manage.py", "pyproject.toml"}
    assert all((ROOT / source).exists() for source in copied())


def test_builds_see_what_the_image_takes_and_no_secret() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert kept == copied()
    assert not any(fnmatch(".env", pattern) for pattern in kept)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_runs_as_somebody_who_owns_nothing_but_the_data() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.search(r"^USER clarion$", final, flags=re.MULTILINE)
    assert "--chown" not in final


def test_systemd_signals_a_group_of_workers_by_its_main_process() -> None:
    service = units()["clarion@.service"]["Service"]

    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 2 * ENDS_WITHIN
    assert service["Restart"] == "always"


def test_systemd_starts_parts_after_the_schema_and_whether_or_not_it_could_be_made() -> None:
    parts, prepare = units()["clarion@.service"], units()["clarion-prepare.service"]

    assert parts["Unit"]["After"] == parts["Unit"]["Wants"] == "clarion-prepare.service"
    assert parts["Service"]["ExecStart"].replace("%i", "prepare") == prepare["Service"]["ExecStart"]
    assert prepare["Service"]["Type"] == "oneshot"


def test_the_units_named_in_the_readme_are_parts_that_exist() -> None:
    enabled = re.search(r"systemctl enable --now (.+)", section("Deployment"))

    assert enabled is not None
    assert enabled[1].split() == [f"clarion@{part}" for part in PARTS]
