"""The marts stage: dbt's models as assets of the same graph, built into a new DuckDB file that is swapped in when complete.

What the models say is in dbt_project. The manifest holds absolute paths, so `make setup` generates it; nothing is
prepared at import, for several workers import at once.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets
from dagster_dbt.compat import DBT_PYTHON_VERSION

from trading_assets.core.errors import InputError, StateError
from trading_assets.defs.resources import Storage
from trading_assets.defs.settings import AssetSettings
from trading_assets.defs.table_asset import OWNERS

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
MANIFEST = PROJECT / "target" / "manifest.json"
SWAP_TRIES = 50
MARTS = (
    "fct_signals",
    "fct_trades",
    "fct_outcomes",
    "account_equity",
    "strategy_equity",
    "tenant_equity",
    "daily_performance",
    "performance_by_scope",
    "model_performance",
)


class LakeTranslator(DagsterDbtTranslator):
    """Sources are the lake's assets, by the table's name; models belong to the group marts."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return the table's or the model's plain name."""
        return dg.AssetKey(dbt_resource_props["name"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Return the stage."""
        return "marts"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        """Return who looks after every table here."""
        return OWNERS

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        """Return a test as a check with a sentence that says what it holds, and beside it the lake's tables it reads."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        read = {
            name for parent in manifest["parent_map"].get(unique_id, []) for name in _assets_behind(manifest, parent)
        }
        return dg.AssetCheckSpec(
            spec.name, asset=spec.asset_key, description=what_is_tested(manifest["nodes"][unique_id]),
            additional_deps=sorted(read - {spec.asset_key.path[-1]}), metadata=spec.metadata, blocking=spec.blocking,
        )  # fmt: skip


def _assets_behind(manifest: Mapping[str, Any], unique_id: str) -> Iterator[str]:
    """Go through the assets a node of dbt stands for: itself, or what it selects from where it is a staging model."""
    node = manifest["nodes"].get(unique_id)
    if node is None or node["config"]["materialized"] != "ephemeral":
        yield (node or manifest["sources"][unique_id])["name"]
        return
    for parent in manifest["parent_map"][unique_id]:
        yield from _assets_behind(manifest, parent)


def what_is_tested(test: Mapping[str, Any]) -> str:
    """Return in words what a test of dbt holds; one written as a query says it in its first comment."""
    about = test.get("test_metadata")
    if about is None:
        comment = takewhile(lambda line: line.startswith("--"), test["raw_code"].splitlines())
        return " ".join(line.removeprefix("--").strip() for line in comment)
    column, asked = test["column_name"], about["kwargs"]
    match about["name"]:
        case "not_null":
            return f"Every row has a value in {column}."
        case "unique":
            return f"No two rows have the same {column}."
        case "accepted_values":
            return f"Each {column} is one of {', '.join(map(str, asked['values']))}; it may be empty."
        case "relationships":
            return f"Each {column} is a {asked['field']} of {asked['to'].split(chr(39))[-2]}; it may be empty."
        case name:
            raise StateError("reading", f"test {test['name']}", f"no sentence says what {name} holds", "add one here")


def _manifest() -> Path:
    if not MANIFEST.is_file():
        raise InputError(
            "loading", MANIFEST, "dbt's manifest has not been generated", "run `trading prepare` (part of `make setup`)"
        )
    return MANIFEST


class Dbt(DbtCliResource):
    """dbt as it is installed beside this Python, without what dagster-dbt does before a command: seconds each time."""

    @cached_property
    def _cli_version(self) -> Any:
        """The version, without starting dbt to ask for it: the program and the package are one."""
        return DBT_PYTHON_VERSION

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        """Make no adapter: it would read row counts and columns for Dagster, and nothing here asks dagster-dbt for them."""
        del args


def dbt_resource(settings: AssetSettings) -> DbtCliResource:
    """Return dbt, the executable beside this Python, and the places its plugin reads."""
    os.environ.setdefault("TRADING_LAKE", str(settings.home.lake))
    os.environ.setdefault("TRADING_MARTS", str(settings.home.marts))
    executable = Path(sys.executable).with_name("dbt.exe" if os.name == "nt" else "dbt")
    return Dbt(project_dir=str(PROJECT), profiles_dir=str(PROJECT), dbt_executable=str(executable))


@dbt_assets(
    manifest=_manifest(),
    name="dbt_models",
    dagster_dbt_translator=LakeTranslator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True)),
)
def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, storage: Storage) -> Iterator[Any]:
    home = storage.home
    storage.lake.ensure_tables()
    draft = home.marts.with_suffix(".draft.duckdb")
    draft.unlink(missing_ok=True)
    os.environ |= {"TRADING_LAKE": str(home.lake), "TRADING_MARTS": str(draft)}
    home.dbt.mkdir(parents=True, exist_ok=True)
    yield from dbt.cli(["build"], context=context, target_path=home.dbt).stream()
    _swap(draft, home.marts)


@dg.asset(
    deps=list(MARTS), group_name="docs", owners=OWNERS, kinds={"dbt"},
    description="The documentation of every table and column as a site: description, unit, grain, source, lineage.",
)  # fmt: skip
def data_docs(dbt: DbtCliResource, storage: Storage) -> dg.MaterializeResult[Any]:
    home = storage.home
    os.environ |= {"TRADING_LAKE": str(home.lake), "TRADING_MARTS": str(home.marts)}
    dbt.cli(["docs", "generate"], target_path=home.dbt).wait()
    return dg.MaterializeResult(metadata={"site": dg.MetadataValue.path(str(home.dbt / "index.html"))})


def _swap(draft: Path, marts_file: Path) -> None:
    """Put the new file in place; a reader that holds the old one on Windows is waited for."""
    for _ in range(SWAP_TRIES):
        try:
            shutil.move(draft, marts_file)
        except PermissionError:
            time.sleep(0.1)
        else:
            return
    raise StateError("replacing", marts_file, "another program keeps it open", "close it and run the job marts again")
