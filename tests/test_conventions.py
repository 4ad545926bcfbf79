"""Conventions of the project, as tests: names, sizes of what is pinned, and what may never be in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
BANNED_MODULES = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "engine", "service"}


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [PROJECT / line for line in listed.stdout.splitlines() if (PROJECT / line).is_file()]


def _modules() -> list[Path]:
    return [path for path in _tracked("*.py") if path.relative_to(PROJECT).parts[0] in ("trading_assets", "live")]


def _broad_handlers(source: str) -> list[int]:
    """Lines of handlers that swallow every exception."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            names = {node.type.id} if isinstance(node.type, ast.Name) else set()
            swallows = all(isinstance(one, ast.Pass) for one in node.body)
            if (node.type is None or names & {"Exception", "BaseException"}) and swallows:
                lines.append(node.lineno)
    return lines


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [path for path in _modules() if path.stem in BANNED_MODULES]


def test_every_module_says_what_lives_in_it() -> None:
    silent = [path for path in _modules() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent


def test_no_handler_swallows_every_exception() -> None:
    assert not [path for path in _modules() if _broad_handlers(path.read_text(encoding="utf-8"))]


def test_the_swallowing_handler_check_fires() -> None:
    assert _broad_handlers("try:\n    pass\nexcept Exception:\n    pass\n") == [3]


@pytest.mark.parametrize(
    "pattern", [r"files\.python" + "hosted", r"pypi\." + "org", r"index-" + "url", r"/sim" + "ple/"]
)
def test_the_tree_names_no_package_index(pattern: str) -> None:
    texts = [path for path in _tracked() if path.suffix in (".py", ".toml", ".lock", ".md", ".yml", ".yaml", "")]
    assert not [path for path in texts if re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))]


def test_every_locked_package_is_hashed() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    packages = re.findall(r"^[A-Za-z0-9_.\[\]-]+==[^\n]*(?:\n    --hash[^\n]*)*", lock, flags=re.MULTILINE)
    assert len(packages) > 100
    assert all("--hash=sha256:" in package for package in packages)


def _ambient_calls(source: str) -> list[str]:
    """Calls that read a clock, the environment, randomness or a file."""
    forbidden = {
        "open",
        "datetime.now",
        "datetime.utcnow",
        "date.today",
        "time.time",
        "os.getenv",
        "random.random",
        "uuid.uuid4",
    }
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    reads = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return [call for call in calls if call in forbidden] + [read for read in reads if read == "os.environ"]


def test_core_reads_no_clock_and_no_environment() -> None:
    core = [path for path in _modules() if path.is_relative_to(PROJECT / "trading_assets" / "core")]
    assert {path.name: found for path in core if (found := _ambient_calls(path.read_text(encoding="utf-8")))} == {}


def test_the_ambient_call_check_fires() -> None:
    assert _ambient_calls("import os\nx = open('f')\ny = os.environ['A']\nz = datetime.now()") == [
        "open",
        "datetime.now",
        "os.environ",
    ]
