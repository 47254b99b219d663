"""The shape of the code: who may import whom, how large things may be, that names of jobs resolve."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate

import pytest

from messaging import queue

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("devices", "messaging", "console")

MAY_IMPORT = {
    "devices": {"devices"},
    "messaging": {"messaging", "devices"},
    "console": {"console", "messaging", "devices"},
}
FUNCTION_MEDIAN, FUNCTION_95, FUNCTION_MOST = 8, 40, 60
FILE_MOST = 400
POSITIONAL_MOST = 5


def sources() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(path for path in found if "migrations" not in path.parts)


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    forbidden = (set(PACKAGES) | {"tests"}) - MAY_IMPORT[package]

    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        if path.is_relative_to(ROOT / package)
        for name in imported_names(path)
        if name.split(".")[0] in forbidden
    ]

    assert found == []


def test_providers_import_nothing_of_messaging_but_themselves() -> None:
    allowed = ("messaging.providers", "devices.push_services", "devices.push_urls")

    found = [
        f"{path.name} imports {name}"
        for path in (ROOT / "messaging" / "providers").glob("*.py")
        for name in imported_names(path)
        if name.split(".")[0] in PACKAGES and not name.startswith(allowed)
    ]

    assert found == []


def test_simulators_import_nothing_of_ours() -> None:
    found = [
        f"{path.name} imports {name}"
        for path in (ROOT / "messaging" / "simulators").glob("*.py")
        for name in imported_names(path)
        if name.split(".")[0] in PACKAGES and not name.startswith("messaging.simulators")
    ]

    assert found == []


def test_no_function_is_longer_than_sixty_lines() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name} {length(function)}"
        for path in sources()
        for function in functions(path)
        if length(function) > FUNCTION_MOST
    ]

    assert found == []


def test_most_functions_fit_in_view() -> None:
    lengths = sorted(length(function) for path in sources() for function in functions(path))

    assert statistics.median(lengths) <= FUNCTION_MEDIAN
    assert lengths[int(len(lengths) * 0.95)] <= FUNCTION_95


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    found = [
        f"{path.relative_to(ROOT)} {count}" for path in sources() if (count := path.read_text().count("\n")) > FILE_MOST
    ]

    assert found == []


def test_no_function_takes_more_than_five_positional_arguments() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in sources()
        for function in functions(path)
        if len([name for name in function.args.args if name.arg not in ("self", "cls")]) > POSITIONAL_MOST
    ]

    assert found == []


@pytest.mark.parametrize("name", [queue.DRAIN, queue.BEAT, *queue.HOUSEKEEPING_MINUTES])
def test_every_job_name_resolves(name: str) -> None:
    assert callable(locate(name))


def test_every_file_says_first_what_it_is() -> None:
    found = [str(path.relative_to(ROOT)) for path in sources() if path.read_text().strip() and not _docstring(path)]

    assert found == []


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text()))
