"""The features stage: what each decision saw, computed again from the lake and held against what was recorded.

Chart windows (which bars), features (one row for every closed base bar), feature windows (the rolling rows a sequence
model sees). What they are lives in `core.features`. An asset of day D reads its warm-up before D from the lake itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Protocol

import dagster as dg
import numpy as np
import polars as pl

from trading_assets.core.decisions.candidate_columns import candidate_columns
from trading_assets.core.features.feature_set import FEATURE_SETS, FeatureSet, by_version, encode_vector
from trading_assets.core.features.feature_window import feature_windows as feature_windows_of
from trading_assets.core.features.normaliser import IDENTITY, Normaliser
from trading_assets.core.features.window import DAY_MS, WARM_UP_BARS, ChartWindow, day_windows, milliseconds
from trading_assets.core.market.timeframes import MINUTES
from trading_assets.core.release import RULES_ONLY_ID
from trading_assets.core.tables import REGISTRY_DATE, REGISTRY_OWNER, TABLES
from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, table_asset, whole_table_asset
from trading_assets.store.lake import Lake
from trading_assets.store.release import read_manifest

OWNER = ("tenant", "account", "symbol")
BAR_COLUMNS = (*OWNER, "timeframe", "open_at", "close_at", "open", "high", "low", "close", "ask_close", "tick_count",
               "spread_max_points", "spread_sum_points")  # fmt: skip


class Described(Protocol):
    """What the registry needs of a feature or a column of the candidate matrix."""

    @property
    def name(self) -> str: ...
    @property
    def timeframe(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def unit(self) -> str: ...


class Charts:
    """Bars of every symbol and timeframe needed for some days, with the warm-up before them."""

    def __init__(self, lake: Lake, days: Sequence[date], timeframes: Sequence[str]) -> None:
        self._charts: dict[tuple[str, str, str], dict[str, ChartWindow]] = {}
        for timeframe in timeframes:
            frame = self._bars(lake, days, timeframe)
            for owner, bars in frame.group_by(OWNER, maintain_order=True):
                chart = ChartWindow.from_frame(bars.sort("open_at"), timeframe)
                self._charts.setdefault((str(owner[0]), str(owner[1]), str(owner[2])), {})[timeframe] = chart

    @staticmethod
    def _bars(lake: Lake, days: Sequence[date], timeframe: str) -> pl.DataFrame:
        """Read enough days before the first one for a full warm-up, all of history where gaps make that too few."""
        bars_a_day = 24 * 60 // MINUTES[timeframe]
        since = days[0] - timedelta(days=7 + 2 * WARM_UP_BARS // bars_a_day)
        wanted = pl.col("timeframe") == timeframe
        frame = lake.scan("bars", since=since, until=days[-1]).filter(wanted).select(BAR_COLUMNS).collect()
        if since <= min(lake.dates("bars"), default=since):
            return frame
        before = frame.filter(pl.col("open_at").dt.date() < days[0]).group_by(OWNER).len()
        if before.height and int(before["len"].min()) >= WARM_UP_BARS:  # type: ignore[arg-type]
            return frame
        return lake.scan("bars", until=days[-1]).filter(wanted).select(BAR_COLUMNS).collect()

    def symbols(self) -> Iterator[tuple[tuple[str, str, str], dict[str, ChartWindow]]]:
        """Go through owner and charts, in order."""
        yield from sorted(self._charts.items())

    def of(self, tenant: str, account: str, symbol: str, timeframe: str) -> ChartWindow:
        """Return one chart, empty when there are no bars."""
        return self._charts.get((tenant, account, symbol), {}).get(timeframe) or ChartWindow.empty(timeframe)


@table_asset("chart_windows", ["bars", "raw_decisions"])
def chart_windows(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = unequal = 0
    for days in chunks(dates_of(context)):
        recorded = (
            storage.lake.read(
                "raw_decisions", dates=days,
                columns=["tenant", "account", "date", "signal_id", "symbol", "bar_close_at", "windows"],
            )
            .explode("windows")
            .unnest("windows")
            .rename({"sha256": "recorded_sha256"})
            .unique(["tenant", "account", "signal_id", "timeframe"], keep="first", maintain_order=True)
        )  # fmt: skip
        charts = Charts(storage.lake, days, recorded["timeframe"].unique().sort().to_list())
        hashes = _recomputed_hashes(charts, recorded)
        frame = recorded.with_columns(recomputed_sha256=pl.Series(hashes, dtype=pl.String)).with_columns(
            is_equal=(pl.col("recomputed_sha256") == pl.col("recorded_sha256")).fill_null(value=False)
        )
        storage.lake.overwrite_dates("chart_windows", conform("chart_windows", frame), days)
        rows += frame.height
        unequal += int((~frame["is_equal"]).sum())
    return materialised(None, rows, unequal=unequal)


def _recomputed_hashes(charts: Charts, recorded: pl.DataFrame) -> list[str | None]:
    """Hash exactly the bars each reference names: first to last open; None when their count differs in the lake."""
    known: dict[tuple[Any, ...], str | None] = {}
    hashes: list[str | None] = []
    columns = ("tenant", "account", "symbol", "timeframe", "first_open_at", "last_open_at", "bar_count")
    for reference in recorded.select(columns).iter_rows():
        if reference not in known:
            known[reference] = _hash_of_reference(charts.of(*reference[:4]), *reference[4:])
        hashes.append(known[reference])
    return hashes


def _hash_of_reference(chart: ChartWindow, first: Any, last: Any, count: int) -> str | None:
    if first is None or last is None:
        return chart.slice(0, 0).sha256() if count == 0 else None
    start = int(np.searchsorted(chart.open_ms, milliseconds(first), side="left"))
    stop = int(np.searchsorted(chart.open_ms, milliseconds(last), side="right"))
    return chart.slice(start, stop).sha256() if stop - start == count else None


@table_asset("features", ["bars", "chart_windows"])
def features(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    sets = _sets_in_use(storage.lake)
    for days in chunks(dates_of(context)):
        parts = [TABLES["features"].empty()]
        for feature_set in sets:
            charts = Charts(storage.lake, days, feature_set.timeframes)
            for owner, of_symbol in charts.symbols():
                parts += [_features_of_day(feature_set, owner, of_symbol, day) for day in days]
        frame = pl.concat(parts)
        storage.lake.overwrite_dates("features", frame, days)
        rows += frame.height
    return materialised(None, rows, feature_sets=[feature_set.version for feature_set in sets])


def _sets_in_use(lake: Lake) -> list[FeatureSet]:
    """Return the feature sets that decisions were made with and that this software still has."""
    used = set(
        lake.scan("raw_decisions").select(pl.col("versions").struct.field("feature_set")).unique().collect().to_series()
    )
    return [feature_set for feature_set in FEATURE_SETS.values() if feature_set.version in used]


def _features_of_day(
    feature_set: FeatureSet, owner: tuple[str, str, str], charts: Mapping[str, ChartWindow], day: date
) -> pl.DataFrame:
    start = (day - date(1970, 1, 1)).days * DAY_MS
    complete = {name: charts.get(name) or ChartWindow.empty(name) for name in feature_set.timeframes}
    rows = feature_set.day(day_windows(complete, start)).opened_from(start)
    if not len(rows):
        return TABLES["features"].empty()
    frame = pl.DataFrame(
        {
            "open_at": pl.Series(rows.open_ms * 1000).cast(pl.Datetime("us", "UTC")),
            "close_at": pl.Series(rows.close_ms * 1000).cast(pl.Datetime("us", "UTC")),
            "values": pl.Series(rows.matrix).cast(pl.List(pl.Float64)),
        }
    )
    return conform(
        "features", frame, tenant=owner[0], account=owner[1], symbol=owner[2],
        timeframe=feature_set.base, feature_set_version=feature_set.version, date=day,
    )  # fmt: skip


@whole_table_asset("feature_definitions", ["features"])
def feature_definitions(storage: Storage) -> dg.MaterializeResult[Any]:
    rows = []
    for feature_set in FEATURE_SETS.values():
        columns: dict[str, Sequence[Described]] = {
            "features": feature_set.definitions,
            "candidates": candidate_columns(feature_set),
        }
        for registry, definitions in columns.items():
            rows += [
                {"registry": registry, "feature_set_version": feature_set.version, "index": index, "name": one.name,
                 "timeframe": one.timeframe, "group": one.group, "description": one.description, "unit": one.unit}
                for index, one in enumerate(definitions)
            ]  # fmt: skip
    frame = conform(
        "feature_definitions", pl.DataFrame(rows), tenant=REGISTRY_OWNER, account=REGISTRY_OWNER, date=REGISTRY_DATE
    )
    storage.lake.replace("feature_definitions", frame)
    return materialised(None, frame.height)


@table_asset("feature_windows", ["features", "chart_windows", "raw_decisions"])
def feature_windows(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = unequal = 0
    for days in chunks(dates_of(context)):
        recorded = _recorded_feature_windows(storage.lake, days)
        again = Recomputation(storage, days)
        parts = [TABLES["feature_windows"].empty()]
        # Decisions of one day that start at the same bars share one computation, as they did in the daemon.
        for _, alike in recorded.group_by(
            [*OWNER, "feature_set_version", "release_id", "day", "starts"], maintain_order=True
        ):
            parts.append(conform("feature_windows", again.compare(alike)))
        frame = pl.concat(parts)
        storage.lake.overwrite_dates("feature_windows", frame, days)
        rows += frame.height
        unequal += int((~frame["is_equal"]).sum())
    return materialised(None, rows, unequal=unequal)


def _recorded_feature_windows(lake: Lake, days: Sequence[date]) -> pl.DataFrame:
    """Return what the decisions recorded, with the UTC day of their bar and where their windows start, as text."""
    decisions = lake.read(
        "raw_decisions", dates=days,
        columns=["tenant", "account", "date", "known_at", "signal_id", "symbol", "timeframe", "bar_open_at", "bar_close_at",
                 "windows", "feature_window", "features", "versions"],
    )  # fmt: skip
    starts = pl.col("windows").list.eval(
        pl.element().struct.field("timeframe")
        + " "
        + pl.element().struct.field("first_open_at").dt.epoch("ms").cast(pl.String)
    )
    return (
        decisions.unique(["tenant", "account", "signal_id"], keep="first", maintain_order=True)
        .with_columns(
            feature_set_version=pl.col("versions").struct.field("feature_set"),
            release_id=pl.col("versions").struct.field("release"),
            day=pl.col("bar_open_at").dt.date(),
            starts=starts.list.drop_nulls().list.join(","),
        )
        .unnest("feature_window")
        .rename({"sha256_raw": "recorded_sha256_raw", "sha256_normalised": "recorded_sha256_normalised"})
        .drop("windows")
    )


class Recomputation:
    """Feature rows of some days computed again over exactly the bars the decisions' windows named."""

    def __init__(self, storage: Storage, days: Sequence[date]) -> None:
        self._storage = storage
        self._days = [days[0] - timedelta(days=1), *days]
        self._charts: dict[str, Charts] = {}

    def compare(self, alike: pl.DataFrame) -> pl.DataFrame:
        """Add the recomputed hashes and the verdicts to decisions of one symbol, day, release and start."""
        first = alike.row(0, named=True)
        feature_set = by_version(first["feature_set_version"])
        rows = feature_set.day(self._windows(first, feature_set))
        position = {int(close): index for index, close in enumerate(rows.close_ms)}
        ends = [position.get(milliseconds(close)) for close in alike["bar_close_at"]]
        found = [end for end in ends if end is not None]
        windows = iter(feature_windows_of(rows, self._normaliser(first["release_id"], feature_set), found))
        raw: list[str | None] = []
        normalised: list[str | None] = []
        vectors: list[bool] = []
        for end, recorded in zip(ends, alike["features"], strict=True):
            window = next(windows) if end is not None else None
            raw.append(window.sha256_raw if window else None)
            normalised.append(window.sha256_normalised if window else None)
            vectors.append(end is not None and encode_vector(rows.matrix[end]) == recorded)
        return alike.with_columns(
            recomputed_sha256_raw=pl.Series(raw, dtype=pl.String),
            recomputed_sha256_normalised=pl.Series(normalised, dtype=pl.String),
            is_vector_equal=pl.Series(vectors, dtype=pl.Boolean),
        ).with_columns(
            is_equal=(
                pl.col("is_vector_equal")
                & (pl.col("recomputed_sha256_raw") == pl.col("recorded_sha256_raw"))
                & (pl.col("recomputed_sha256_normalised") == pl.col("recorded_sha256_normalised"))
            ).fill_null(value=False)
        )

    def _windows(self, first: dict[str, Any], feature_set: FeatureSet) -> dict[str, ChartWindow]:
        if feature_set.version not in self._charts:
            self._charts[feature_set.version] = Charts(self._storage.lake, self._days, feature_set.timeframes)
        charts = self._charts[feature_set.version]
        starts = dict(pair.split(" ") for pair in first["starts"].split(",") if pair)
        end = (first["day"] - date(1970, 1, 1)).days * DAY_MS + DAY_MS
        windows = {}
        for timeframe in feature_set.timeframes:
            chart = charts.of(first["tenant"], first["account"], first["symbol"], timeframe)
            start, stop = chart.open_ms.searchsorted([int(starts.get(timeframe, end)), end])
            windows[timeframe] = chart.slice(int(start), int(stop))
        return windows

    def _normaliser(self, release_id: str, feature_set: FeatureSet) -> Normaliser:
        if release_id == RULES_ONLY_ID:
            return IDENTITY(feature_set.names)
        return read_manifest(self._storage.home.releases, release_id).normaliser
