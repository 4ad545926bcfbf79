"""The pages people read: every command they name exists, every link and path leads to a file, Windows is not forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from live.settings import read_settings, strategy_of
from trading_assets.cli.entry import trading

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")])
SHORT_FOR = ("core", "store", "defs", "cli")
"""Packages that the pages name without `trading_assets/` before them."""

CODE = re.compile(r"```[^\n]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A command stands at the start of a line or code span, perhaps after `&&`.
MAKE = re.compile(r"(?:^|&& )make ([a-z]+)(?![a-z=])", re.MULTILINE)
TRADING = re.compile(r"(?:^|&& )(?:\.venv[/\\](?:bin|Scripts)[/\\])?trading +([a-z]+)([^\n`&|#]*)", re.MULTILINE)
# `trading token new ACCOUNT`, `list`, `revoke NAME`
SPANS = re.compile(r"`trading ([a-z]+)([^`\n]*)`((?:, `[^`\n]+`)*)")
PART = re.compile(r" +([a-z]+)")
OPTION = re.compile(r"(?<!\S)(--?[a-z][a-z-]*)")
PATH = re.compile(r"(?:trading_assets|live|tests|dbt_project|docs|core|store|defs|cli)/[A-Za-z0-9_./-]*")
TEST_NAME = re.compile(r"`(test_[a-z0-9_]+)`")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_in(text: str) -> list[str]:
    """Code blocks and code spans."""
    return [block or span for block, span in CODE.findall(text)]


# --- make -------------------------------------------------------------------------------------------------------


def recipes(makefile: str) -> dict[str, tuple[list[str], list[str]]]:
    """Each target with the targets it needs first and the lines of its recipe."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    target = ""
    for line in makefile.splitlines():
        if rule := re.match(r"([a-z./]+):(?!=)\s*(.*)$", line):
            target = rule[1]
            found[target] = (rule[2].split(), [])
        elif line.startswith("\t") and target:
            found[target][1].append(line.strip().removeprefix("@"))
    return found


MAKEFILE = recipes(read(PROJECT / "Makefile"))


def make_targets_in(text: str) -> set[str]:
    return {target for code in code_in(text) for target in MAKE.findall(code)}


def unknown_targets(text: str) -> set[str]:
    return make_targets_in(text) - MAKEFILE.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_command_is_in_the_makefile(page: Path) -> None:
    assert unknown_targets(read(page)) == set()


def test_a_make_command_that_does_not_exist_is_found() -> None:
    assert unknown_targets("run `make coffee`, or\n```\ncd x && make tea\nmake demo\n```") == {"coffee", "tea"}


# --- trading ------------------------------------------------------------------------------------------------------


def faults_of_commands(text: str) -> list[str]:
    """What is wrong with the `trading ...` commands of a text: unknown names, options or values."""
    faults = []
    for code in code_in(text):
        for name, rest in TRADING.findall(code):
            command = trading.commands.get(name)
            if isinstance(command, click.Group) and (part := PART.match(rest)):
                name, command = f"{name} {part[1]}", command.commands.get(part[1])
            if command is None:
                faults.append(f"trading {name}")
                continue
            known = {text for one in command.params if isinstance(one, click.Option) for text in one.opts}
            ours = rest.split(" -- ")[0]  # what follows belongs to another program
            faults += [f"trading {name} {option}" for option in OPTION.findall(ours) if option not in known]
    return faults


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_trading_command_exists_with_its_options(page: Path) -> None:
    assert faults_of_commands(read(page)) == []


def test_a_trading_command_that_does_not_exist_is_found() -> None:
    text = (
        "`trading guess` and\n```\n.venv/bin/trading demo --seed 3 --luck\n.venv\\Scripts\\trading up --clock -5\n```"
    )
    assert faults_of_commands(text) == ["trading guess", "trading demo --luck", "trading up --clock"]


def tree(group: click.Group, before: str = "") -> Iterator[str]:
    """Every command under a group, as it is given."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from tree(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def commands_named(text: str) -> set[str]:
    """The `trading` commands a text names, without arguments; of a group also the parts that follow in spans of their own."""
    named = set()
    for code in code_in(text):
        for name, rest in TRADING.findall(code):
            part = PART.match(rest) if isinstance(trading.commands.get(name), click.Group) else None
            named.add(f"{name} {part[1]}" if part else name)
    for name, _, more in SPANS.findall(text):
        if isinstance(trading.commands.get(name), click.Group):
            named |= {f"{name} {part}" for part in re.findall(r"`([a-z]+)(?=[ `])", more)}
    return named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_part_of_a_group_that_a_page_names_exists(page: Path) -> None:
    groups = {name for name, command in trading.commands.items() if isinstance(command, click.Group)}
    assert commands_named(read(page)) - groups - set(tree(trading)) == set()


def test_a_part_of_a_group_that_does_not_exist_is_found() -> None:
    text = "`trading token new ACCOUNT`, `list`, `burn NAME`\n```\ntrading release lose x\n```\n`trading breaker`, `a`"
    assert commands_named(text) - set(tree(trading)) == {"token burn", "release lose", "breaker", "breaker a"}
    assert faults_of_commands("`trading release lose` and `trading model card x --luck`") == [
        "trading release lose", "trading model card --luck",
    ]  # fmt: skip


def test_the_readme_names_every_command_of_the_tree() -> None:
    assert set(tree(trading)) - commands_named(read(README)) == set()


# --- Windows ------------------------------------------------------------------------------------------------------


def section(text: str, title: str) -> str:
    """The text under a heading, up to the next one of the same level."""
    return re.split(r"^## ", text.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def windows_commands(target: str) -> Iterator[str]:
    """The commands of a target's recipe and of what it needs first, as they are given on Windows."""
    needs, lines = MAKEFILE[target]
    for need in needs:
        if need in MAKEFILE:
            yield from windows_commands(need)
    for line in lines:
        if line.startswith("$(BIN)/"):
            plain = line.replace("--quiet --disable-pip-version-check ", "").replace("$(BIN)/", ".venv/Scripts/")
            yield plain.replace("/", "\\")
        elif line.startswith("$(PYTHON) -m"):
            yield line.replace("$(PYTHON)", "py -3.11").replace("$(BIN)/", ".venv/Scripts/")


def missing_on_windows(readme: str) -> set[str]:
    """Make targets without a row, and commands of theirs without a place, in the section on Windows."""
    windows = section(readme, "Windows")
    rows = {target for line in windows.splitlines() if line.startswith("| `make") for target in MAKE.findall(line[3:])}
    spans = set(code_in(windows))
    targets = make_targets_in(readme)
    commands = {command for target in targets & MAKEFILE.keys() for command in windows_commands(target)}
    return (targets - rows) | (commands - spans)


def test_every_make_command_of_the_readme_has_its_plain_command_for_windows() -> None:
    assert missing_on_windows(read(README)) == set()


def test_a_command_that_windows_does_without_is_found() -> None:
    readme = read(README)
    assert missing_on_windows(readme.replace("| `make up` |", "| |")) == {"up"}
    assert missing_on_windows(readme.replace("`.venv\\Scripts\\lint-imports`", "")) == {".venv\\Scripts\\lint-imports"}


# --- links and paths ----------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Headings as they are linked to."""
    titles = re.findall(r"^#+ (.+)$", read(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links that lead to no file, or to no heading of it."""
    broken = []
    for link in LINK.findall(CODE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (folder / name).resolve()
        is_there = target.exists() and target.is_relative_to(PROJECT)
        if not is_there or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(read(page), page.parent) == []


def test_a_broken_link_is_found() -> None:
    text = "[a](README.md) [b](nowhere.md) [c](ARCHITECTURE.md#invariants) [d](ARCHITECTURE.md#weather) [e](../x.md)"
    assert broken_links(text, PROJECT) == ["nowhere.md", "ARCHITECTURE.md#weather", "../x.md"]


def lost_paths(text: str) -> list[str]:
    """Paths in code spans that are in no place of the checkout."""
    spans = [span for _, span in CODE.findall(text) if PATH.fullmatch(span)]
    return [span for span in spans if not any((root / span).exists() for root in _roots(span))]


def _roots(span: str) -> list[Path]:
    return [PROJECT, PROJECT / "trading_assets"] if span.startswith(SHORT_FOR) else [PROJECT]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_the_checkout_that_a_page_names_is_there(page: Path) -> None:
    assert lost_paths(read(page)) == []


def test_a_lost_path_is_found() -> None:
    text = "`core/ids.py`, `live/trading/trader.py`, `core/luck.py`, `live/paper/`, `docs/nothing.md`, `raw/tenant=x/`"
    assert lost_paths(text) == ["core/luck.py", "docs/nothing.md"]


def test_every_test_that_shows_an_invariant_is_there() -> None:
    table = section(read(PROJECT / "ARCHITECTURE.md"), "Invariants")
    tests = {
        name for path in (PROJECT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", read(path))
    }
    assert set(TEST_NAME.findall(table)) <= tests
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)] == list(range(1, 11))


# --- the rest -----------------------------------------------------------------------------------------------------


def test_the_settings_the_readme_shows_are_settings_the_daemon_takes(tmp_path: Path) -> None:
    shown = re.search(r"```toml\n(.*?)```", read(README), flags=re.DOTALL)
    assert shown is not None
    (tmp_path / "settings.toml").write_text(shown[1], encoding="utf-8")
    settings = read_settings(tmp_path / "settings.toml")
    assert strategy_of(settings.accounts[0]).max_positions == 2


@pytest.mark.parametrize("block", ["demo", "figures"])
def test_what_the_demo_and_the_benchmarks_print_has_its_place_in_the_readme(block: str) -> None:
    assert len(re.findall(rf"<!-- {block}:begin -->\n(?:.*\n)*?<!-- {block}:end -->", read(README))) == 1
