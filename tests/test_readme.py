"""The README says what the code does: its settings, error codes, commands and links are compared with the real ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.errors import ApiError
from messaging import errors as _publishing_errors  # noqa: F401  # defines its subclasses
from messaging.realtime import errors as _realtime_errors  # noqa: F401  # so does this

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("devices", "messaging", "console")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE_MOST = 150_000  # bytes: a README is read over slow lines too

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")


def section(heading: str) -> str:
    """The text below a second-level heading, up to the next one."""
    _, found, rest = README.partition(f"\n## {heading}\n")
    assert found, f"the README has no section {heading}"
    return rest.partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


def variables_read() -> set[str]:
    """Names that modules using console.environment pass to its functions, or to helpers that hand them on."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    return {name for tree in trees if reads_environment(tree) for name in first_arguments(tree)}


def reads_environment(tree: ast.Module) -> bool:
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return any(node.module == "console.environment" for node in imports)


def first_arguments(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            value = node.args[0].value
            if isinstance(value, str) and _VARIABLE.fullmatch(value):
                yield value


def error_classes(base: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for error in base.__subclasses__():
        if error.__module__.startswith(("devices.", "messaging.")):
            yield error
        yield from error_classes(error)


def our_commands() -> list[str]:
    found = [path for package in PACKAGES for path in (ROOT / package).glob("management/commands/[a-z]*.py")]
    return sorted(path.stem for path in found)


def make_targets_named() -> set[str]:
    """Words after `make` where it is a command: in code spans and at the beginning of code lines."""
    return set(re.findall(r"(?:`|^    )make ([a-z.][\w./-]*)", README, flags=re.MULTILINE))


def local_links() -> list[str]:
    links = re.findall(r"\]\(([^)#][^)]*)\)", README)
    return sorted({link for link in links if "://" not in link})


def test_the_settings_table_holds_every_variable_the_code_reads_and_no_other() -> None:
    assert set(first_cells(section("Settings"))) == variables_read()


def test_the_error_table_holds_every_code_with_its_http_status_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{4,5}) \| (\d{3}) \|", section("Error codes"), flags=re.MULTILINE)

    assert sorted((int(code), int(status)) for code, status in rows) == sorted(
        (error.code, error.http_status) for error in error_classes()
    )


@pytest.mark.parametrize("command", our_commands())
def test_every_command_is_named(command: str) -> None:
    assert f"manage.py {command}" in README


def test_every_make_target_named_exists() -> None:
    rules = re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = make_targets_named()

    assert {"run", "test"} <= named
    assert named <= set(rules)


@pytest.mark.parametrize("link", local_links())
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("picture", sorted((ROOT / "static/readme").glob("*.png")), ids=lambda picture: picture.name)
def test_every_picture_is_shown_and_small(picture: Path) -> None:
    assert str(picture.relative_to(ROOT)) in local_links()
    assert picture.stat().st_size < PICTURE_MOST
