"""Nothing in Dagster is without a place, an owner, words or an age at which it is late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from trading_assets.defs.freshness import OF_GROUP, with_freshness
from trading_assets.defs.rows_by_day import DAYS, line
from trading_assets.defs.tasks import TASKS


def unnamed(graph: dg.Definitions) -> list[str]:
    """Everything that lacks what a person must see of it."""
    found = [
        f"asset {spec.key.to_user_string()} has no {what}"
        for spec in graph.resolve_all_asset_specs()
        for what, has in (
            ("group", spec.group_name), ("owner", spec.owners), ("kind", spec.kinds), ("description", spec.description),
            ("freshness", spec.freshness_policy),
        )
        if not has
    ]  # fmt: skip
    found += [f"{name} has no description" for name, words in told(graph) if not words]
    return found + [
        f"check {key.name} of {key.asset_key.to_user_string()} has no description"
        for key, spec in checks(graph)
        if not spec.description
    ]


def told(graph: dg.Definitions) -> Iterable[tuple[str, str | None]]:
    repository: Any = graph.get_repository_def()
    yield from (
        (f"job {one.name}", one.description) for one in repository.get_all_jobs() if not one.name.startswith("__")
    )
    yield from ((f"schedule {one.name}", one.description) for one in repository.schedule_defs)
    yield from ((f"sensor {one.name}", one.description) for one in repository.sensor_defs)


def checks(graph: dg.Definitions) -> Iterable[tuple[dg.AssetCheckKey, dg.AssetCheckSpec]]:
    nodes: Any = graph.resolve_asset_graph()
    for key in nodes.asset_check_keys:
        yield key, nodes.get_check_spec(key)


def test_nothing_is_unnamed_or_ungrouped(graph: dg.Definitions) -> None:
    ours = [one for one in unnamed(graph) if not one.startswith("check ")]
    assert ours == []


def test_an_asset_without_a_place_is_found() -> None:
    @dg.asset
    def stray() -> None:
        pass

    found = unnamed(dg.Definitions(assets=[stray], jobs=[dg.define_asset_job("quiet", [stray])]))
    assert found == [
        "asset stray has no owner", "asset stray has no kind", "asset stray has no description", "asset stray has no freshness",
        "job quiet has no description",
    ]  # fmt: skip


def test_an_asset_is_late_later_than_its_job_is_due(graph: dg.Definitions) -> None:
    allowed = {spec.key.to_user_string(): spec.freshness_policy for spec in graph.resolve_all_asset_specs()}
    bars, curve, models = (allowed[name] for name in ("bars", "equity_curve", "meta_models"))
    assert isinstance(bars, dg.TimeWindowFreshnessPolicy) if hasattr(dg, "TimeWindowFreshnessPolicy") else bars
    windows = [policy.fail_window.to_timedelta() for policy in (bars, curve, models)]  # type: ignore[union-attr]
    assert windows == [timedelta(hours=2), timedelta(hours=6), timedelta(hours=54)]
    assert OF_GROUP.keys() == {group for task in TASKS for group in task.groups}
    with pytest.raises(KeyError):
        with_freshness(dg.AssetSpec("stray", group_name="nowhere"))


def test_rows_by_day_show_gaps_and_heights() -> None:
    first = date(2026, 1, 5)
    assert line({}) == "no rows"
    assert (
        line({first: 8, first + timedelta(days=2): 1})
        == f"{first} █·▂ {first + timedelta(days=2)}, at most 8 rows a day"
    )
    many = {first + timedelta(days=number): 5 for number in range(200)}
    assert line(many).count("█") == DAYS
