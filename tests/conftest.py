"""What every test may use."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from played import Played, play_once
from said import Said, Say

from trading_assets.store.lake import Lake

# The asset graph reads these when it is imported: each test process works on a home of its own, never on one of yours.
OWN_HOME = Path(tempfile.mkdtemp(prefix="trading tests ü#-"))
os.environ.update(TRADING_HOME=str(OWN_HOME), TRADING_FIRST_DATE="2026-01-01")
atexit.register(shutil.rmtree, OWN_HOME, ignore_errors=True)
# Timings are never tests: a loaded machine must not fail one.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

TESTS = Path(__file__).resolve().parent
SHARED_DATA = TESTS.parents[1] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in the order in which two workers idle least.

    One plays the demo while the other has whole programs to run that do not need it; then those that do; the many short files
    come last and fill what is left. Within a file nothing changes.
    """
    played = {item.path for item in items if "played" in getattr(item, "fixturenames", ())}
    whole = {TESTS, TESTS / "torture"}

    def rank(path: Path) -> tuple[int, str]:
        if path in played:
            return (0 if path == min(played) else 2), str(path)
        return (1 if path.parent in whole else 3), str(path)

    items.sort(key=lambda item: rank(item.path))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real market data is not at {SHARED_DATA}; put the data folder there to run this test")
    return SHARED_DATA


def _value(kind: msgspec.inspect.Type, chance: random.Random) -> Any:
    """Make up a value of a field's type."""
    match kind:
        case msgspec.inspect.Metadata(type=inner):
            return _value(inner, chance)
        case msgspec.inspect.UnionType(types=types):
            return _value(chance.choice(types), chance)
        case msgspec.inspect.NoneType():
            return None
        case msgspec.inspect.StructType(cls=cls):
            return _struct(cls, chance)
        case msgspec.inspect.VarTupleType(item_type=item):
            return tuple(_value(item, chance) for _ in range(chance.randint(0, 4)))
        case msgspec.inspect.LiteralType(values=values):
            return chance.choice(values)
        case msgspec.inspect.BoolType():
            return chance.random() < 0.5
        case msgspec.inspect.IntType():
            return chance.randint(0, 10**9)
        case msgspec.inspect.FloatType():
            return chance.gauss(0.0, 1.0) * 10.0 ** chance.randint(-6, 6)
        case msgspec.inspect.DecimalType():
            return Decimal(chance.randint(-(10**9), 10**9)) / 100
        case msgspec.inspect.DateTimeType():
            return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(microseconds=chance.randint(0, 86_399_999_999))
        case msgspec.inspect.StrType():
            return chance.choice(["", "plain", 'with "quotes", a\nnewline and µ', "\\"])
        case _:
            raise TypeError(f"no example for {kind}")


def _struct(kind: type[msgspec.Struct], chance: random.Random, **fixed: Any) -> Any:
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return kind(**{f.name: fixed[f.name] if f.name in fixed else _value(f.type, chance) for f in fields})


@pytest.fixture(scope="session")
def record_of() -> Callable[..., Any]:
    """Makes a struct of any record or message type, every field of its type, the same one for the same seed."""

    def make(kind: type[msgspec.Struct], seed: int = 0, **fixed: Any) -> Any:
        return _struct(kind, random.Random(seed), **fixed)

    return make


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A demo played to its end, once for all workers. Read its home, write only in a copy."""
    folder = tmp_path_factory.getbasetemp()
    return play_once(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture(scope="session")
def new_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Lake]:
    """Makes a lake at a folder, with every table and no rows: a copy, for creating all tables takes half a second."""
    model = tmp_path_factory.mktemp("lake")
    Lake(model).ensure_tables()

    def make(folder: Path) -> Lake:
        shutil.copytree(model, folder)
        return Lake(folder)

    return make


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    """Gives a command of `trading` in this process, as a person does, and returns what it said.

    The environment it sets is put back.
    """
    with warnings.catch_warnings():
        # What dagster-dbt and Dagster say at import; a person's screen never shows it either.
        warnings.simplefilter("ignore")
        import trading_assets.definitions  # noqa: F401
    from trading_assets.cli import main

    before = dict(os.environ)

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["trading", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended, warnings.catch_warnings():
            main()
        said = capsys.readouterr()
        code = ended.value.code
        return Said(0 if code is None else int(code), said.out, said.err)

    yield run
    os.environ.clear()
    os.environ.update(before)
