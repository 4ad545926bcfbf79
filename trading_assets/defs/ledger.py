"""The ledger stage: profit-and-loss events, the curves of accounts, strategies and tenants, performance.

What they are lives in `core.trades`. Deals are few and read whole, once a run; marks, minutes and bars are read and written
in pieces, each taken up from the day before it. Where a late deal or a repair has moved what was written, the curves are
written again from the day that moved until they meet what stood there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.columns.ledger import ALL_ACCOUNTS
from trading_assets.core.tables import TABLES
from trading_assets.core.trades import equity, ledger
from trading_assets.core.trades.account_days import account_days
from trading_assets.core.trades.currencies import (
    RATE_LIFETIME,
    pairs_of,
    rates,
    reporting_currencies,
    tenant_curve,
    unconverted,
)
from trading_assets.core.trades.equity import ACCOUNT, DAY, RULES_ONLY, Curve, midnight
from trading_assets.core.trades.performance import daily_performance
from trading_assets.defs.follow_ups import following
from trading_assets.defs.partitions import chunks, dates_of, with_late
from trading_assets.defs.plots import equity_figure
from trading_assets.defs.resources import Storage
from trading_assets.defs.settings import AssetSettings
from trading_assets.defs.table_asset import (
    ONE_RUN,
    PARTITIONS,
    RETRIES,
    conform,
    counting,
    is_shown,
    materialised,
    picture,
    table_asset,
    table_spec,
)
from trading_assets.store.lake import Lake

CURVES = ("equity_curve", "strategy_curve", "tenant_curve", "equity_daily", "strategy_daily", "tenant_daily")
DAILY = CURVES[3:]
CURVE_SOURCES = ("raw_deals", "marks", "signals", "raw_accounts", "bars")
RATE_TIMEFRAMES = ("M1", "M5")
_TRADE = [*ACCOUNT, "trade_id"]
_DEAL = (
    *ACCOUNT, "event_at", "known_at", "deal_ticket", "position_id", "trade_id", "signal_id", "symbol", "kind", "reason",
    "volume_lots", "price", "profit", "commission", "swap", "fee", "slippage_points",
)  # fmt: skip


@table_asset("pnl_events", ["raw_deals"])
@following("pnl_events")
def pnl_events(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    days = dates_of(context)
    # A correction is told against what was known before, however long ago.
    told = storage.lake.read("raw_deals", until=days[-1], columns=_DEAL)
    frame = conform("pnl_events", ledger.pnl_events(told).filter(pl.col("date").is_in(days)))
    before = storage.lake.read("pnl_events", dates=days)
    changed = before.join(frame, on=frame.columns, how="anti", nulls_equal=True).height
    storage.lake.overwrite_dates("pnl_events", frame, days)
    # Nothing is rewritten silently: 0 unless the raw table itself, or the code, has changed.
    return materialised(None, frame.height, rows_in=told.height, events_taken_back=changed)


@dataclass(frozen=True)
class _Books:
    """What all pieces of a run share: deals, whose they are, and in which currency."""

    lake: Lake
    known: pl.DataFrame
    versions: pl.DataFrame
    currencies: pl.DataFrame

    @classmethod
    def read(cls, lake: Lake) -> "_Books":
        known = ledger.distinct_deals(lake.read("raw_deals", columns=_DEAL))
        told = lake.scan("raw_accounts").group_by(*ACCOUNT, "currency").agg(pl.col("known_at").min()).collect()
        named = AssetSettings.from_environment().reporting_currency
        return cls(lake, known, versions_of(lake, known), reporting_currencies(told, named))

    def marks(self, days: Sequence[date]) -> pl.DataFrame:
        """Return the marks of the days, and those before them of the trades that were open when they began."""
        start = midnight(days[0])
        lives = ledger.positions(self.known).filter(pl.col("trade_id").is_not_null())
        is_carried = (pl.col("opened_at") < start) & (pl.col("closed_at").is_null() | (pl.col("closed_at") >= start))
        carried = lives.filter(is_carried)
        columns = [*_TRADE, "event_at", "unrealised_pnl"]
        within = self.lake.read("marks", dates=with_late(days), columns=columns)
        if carried.is_empty():
            return within
        since = carried.get_column("opened_at").dt.date().min()
        assert isinstance(since, date)
        earlier = self.lake.scan("marks", since=since, until=days[0] - DAY)
        theirs = earlier.filter(pl.col("trade_id").is_in(carried.get_column("trade_id").to_list()))
        ordered = theirs.sort(*_TRADE, "date", "mark_index").select(columns).collect()
        return pl.concat([ordered, within])

    def rates(self, days: Sequence[date]) -> pl.DataFrame:
        """Return the rates that the days may need."""
        wanted = pl.col("symbol").is_in(list(pairs_of(self.currencies))) & pl.col("timeframe").is_in(RATE_TIMEFRAMES)
        since = days[0] - RATE_LIFETIME - DAY
        columns = ["tenant", "account", "symbol", "timeframe", "close_at", "close", "ask_close"]
        if not pairs_of(self.currencies):
            return rates(TABLES["bars"].empty().select(columns), self.currencies)
        bars = self.lake.scan("bars", since=since, until=days[-1]).filter(wanted).select(columns)
        return rates(bars.collect(), self.currencies)

    def piece(self, days: Sequence[date]) -> dict[str, pl.DataFrame]:
        """Return the rows of every curve for days without a gap, taken up from the day before them."""
        moved = equity.moves(self.known, self.marks(days), self.versions)
        before = {name: self.lake.read(name, dates=[days[0] - DAY]) for name in DAILY}
        state = {name: rows if len(rows) else None for name, rows in before.items()}
        rated = self.rates(days)
        accounts = equity.account_curve(moved, days, state["equity_daily"])
        strategies = equity.strategy_curve(moved, days, _without_deposits(state["strategy_daily"]))
        opening = before["equity_daily"].with_columns(at=pl.lit(midnight(days[0])), balance="closing_balance")
        tenants = tenant_curve(accounts, opening, self.currencies, rated, state["tenant_daily"])
        ends = account_days(accounts.days, self.known, self.currencies, rated)
        owned = Curve(*(part.with_columns(account=pl.lit(ALL_ACCOUNTS)) for part in (tenants.minutes, tenants.days)))
        frames = (accounts.minutes, strategies.minutes, owned.minutes, ends, strategies.days, owned.days)
        return {name: conform(name, frame) for name, frame in zip(CURVES, frames, strict=True)}


def _without_deposits(rows: pl.DataFrame | None) -> pl.DataFrame | None:
    """A strategy's row has no deposits; its high-water mark is what it earned."""
    return None if rows is None else rows.with_columns(net_deposits=pl.lit(ledger.ZERO, ledger.MONEY))


def versions_of(lake: Lake, known: pl.DataFrame) -> pl.DataFrame:
    """Return strategy and model of the decision behind each trade of the deals."""
    lives = ledger.positions(known).filter(pl.col("signal_id").is_not_null() & pl.col("trade_id").is_not_null())
    opened = {day for at in lives.get_column("opened_at").dt.date() for day in (at - DAY, at)}
    signals = lake.scan("signals", dates=sorted(opened)) if opened else lake.scan("signals").limit(0)
    whose = signals.select(*ACCOUNT, "signal_id", "strategy_version", "model_version").collect()
    return (
        lives.join(whose, on=[*ACCOUNT, "signal_id"], how="inner")
        .unique(_TRADE, keep="first", maintain_order=True)
        .select(*_TRADE, "strategy_version", pl.col("model_version").fill_null(RULES_ONLY))
    )


def first_to_write(lake: Lake, known: pl.DataFrame, asked: date) -> date:
    """Return the day to begin with: the first asked, or before it the first that is missing or that deals have moved."""
    stored = lake.read("equity_daily", until=asked - DAY, columns=[*ACCOUNT, "date", "closing_balance"])
    if stored.is_empty():
        return asked
    moved = (
        known.filter(pl.col("kind") != "CREDIT")
        .group_by(*ACCOUNT, date=pl.col("event_at").dt.date())
        .agg(moved=ledger.MOVED.sum().cast(ledger.MONEY))
        .sort(*ACCOUNT, "date")
        .with_columns(balance=pl.col("moved").cum_sum().over(ACCOUNT))
    )
    days = stored.select("date").unique().sort("date")
    begun = moved.group_by(ACCOUNT).agg(first=pl.col("date").min())
    expected = (
        days.join(begun, how="cross")
        .filter(pl.col("date") >= pl.col("first"))
        .sort("date")
        .join_asof(moved.sort("date"), on="date", by=list(ACCOUNT), check_sortedness=False)
    )
    held = expected.join(stored, on=[*ACCOUNT, "date"], how="full", coalesce=True)
    wrong = held.filter(pl.col("balance").ne_missing(pl.col("closing_balance")))
    dates = days["date"].to_list()
    gaps = [day + DAY for day, after in zip(dates, [*dates[1:], asked], strict=True) if after > day + DAY]
    changed: list[date] = wrong["date"].to_list()
    first: date = min([asked, *gaps, *changed])
    return first


def _stretch(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@dg.multi_asset(
    name="curves",
    specs=[table_spec(name, CURVE_SOURCES) for name in CURVES],
    partitions_def=PARTITIONS,
    backfill_policy=ONE_RUN,
    retry_policy=RETRIES,
    description="What the money of accounts, strategies and tenants did, by the minute and by the day.",
)
@counting
@following("curves")
def curves(context: dg.AssetExecutionContext, storage: Storage) -> Iterator[dg.MaterializeResult[Any]]:
    days, lake = dates_of(context), storage.lake
    books = _Books.read(lake)
    first = first_to_write(lake, books.known, days[0])
    rows = dict.fromkeys(CURVES, 0)
    later = [day for day in lake.dates("equity_daily") if day > days[-1]]
    minutes, written = TABLES["equity_curve"].empty(), 0
    asked = list(chunks(_stretch(first, days[-1])))
    following = list(chunks(_stretch(days[-1] + DAY, later[-1]))) if later else []
    for piece in (*asked, *following):
        stood = {name: lake.read(name, dates=[piece[-1]]) for name in DAILY}
        made = books.piece(piece)
        for name in CURVES:
            lake.overwrite_dates(name, made[name], piece)
            rows[name] += made[name].height
        minutes, written = made["equity_curve"], written + len(piece)
        is_met = all(stood[name].equals(made[name].filter(pl.col("date") == piece[-1])) for name in DAILY)
        if piece[-1] >= days[-1] and is_met:
            break
    also = written - len(days)
    sentences = unconverted(lake.read("equity_daily", dates=days))
    for sentence in sentences:
        context.log.warning(sentence)
    shown: dict[str, dict[str, Any]] = {
        "equity_curve": {"equity": picture(equity_figure(minutes), "equity")} if is_shown(context) else {},
        "equity_daily": {"without_rate": dg.MetadataValue.md("\n".join(f"- {one}" for one in sentences) or "none")},
    }
    for name in CURVES:
        yield materialised(name, rows[name], days_moved_besides=also, **shown.get(name, {}))


@table_asset("performance_daily", ["raw_deals", "signals", "outcomes"])
@following("performance_daily")
def performance_daily(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    days, lake = dates_of(context), storage.lake
    known = ledger.distinct_deals(lake.read("raw_deals", columns=_DEAL))
    outcomes = lake.read("outcomes", columns=[*_TRADE, "result_r"]).unique(_TRADE, keep="first", maintain_order=True)
    # Each day counts all before it: what a late or corrected deal has moved is written again with the days asked for.
    stood = lake.read("performance_daily")
    every = sorted({*days, *stood["date"].to_list()})
    frame = conform("performance_daily", daily_performance(known, outcomes, versions_of(lake, known), every))
    moved = frame.join(stood, on=frame.columns, how="anti", nulls_equal=True)
    gone = stood.join(frame, on=frame.columns, how="anti", nulls_equal=True)
    written = sorted({*days, *moved["date"].to_list(), *gone["date"].to_list()})
    of_written = frame.filter(pl.col("date").is_in(written))
    lake.overwrite_dates("performance_daily", of_written, written)
    return materialised(None, of_written.height, days_moved_besides=len(written) - len(days))
