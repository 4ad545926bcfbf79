"""A market at rest, to be disturbed one value at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from trading_assets.core.decisions.decide import DecisionContext
from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.normaliser import Normaliser
from trading_assets.core.records.decisions import (
    AccountState,
    DecisionInputs,
    FeatureWindowReference,
    OpenPosition,
    RiskState,
    SymbolState,
    WindowReference,
)
from trading_assets.core.release import Calibration, Release, ReleaseManifest

# A Wednesday, in the middle of the session.
CLOSE_AT = datetime(2024, 3, 6, 10, 5, tzinfo=UTC)

# What is not zero on a quiet chart.
QUIET = {"adx_14": 0.2, "atr_14_bp": 4.0, "atr_ratio_14_100": 1.0, "volatility_ratio_10_50": 1.0, "tick_ratio_20": 1.0}


class Market:
    """Builds contexts and feature rows of EURUSD on M5; every value can be replaced by its field's name."""

    close_at = CLOSE_AT
    features = FEATURE_SETS["intraday"]

    symbol = SymbolState(
        symbol="EURUSD",
        digits=5,
        point=0.00001,
        tick_size=0.00001,
        tick_value=Decimal("1.00"),
        contract_size=Decimal("100000"),
        volume_min=Decimal("0.01"),
        volume_max=Decimal("50"),
        volume_step=Decimal("0.01"),
        stops_level=0,
        commission_per_lot=Decimal("3.50"),
    )
    account = AccountState(
        currency="USD",
        balance=Decimal("10000.00"),
        equity=Decimal("10000.00"),
        margin_free=Decimal("10000.00"),
        leverage=100,
        trade_allowed=True,
    )
    risk = RiskState(
        open_positions=0,
        pending_orders=0,
        equity_high_water_mark=Decimal("10000.00"),
        day_start_equity=Decimal("10000.00"),
        week_start_equity=Decimal("10000.00"),
        orders_last_hour=0,
        breakers=(),
    )

    def position(self, **changes: Any) -> OpenPosition:
        values: dict[str, Any] = {
            "trade_id": "trade",
            "signal_id": "signal",
            "position_id": "7",
            "side": "BUY",
            "volume_lots": Decimal("0.50"),
            "entry_price": 1.08400,
            "stop_price": 1.08300,
            "target_price": 1.08600,
            "opened_at": CLOSE_AT - timedelta(minutes=50),
            "bars_held": 10,
            "timeout_bars": 48,
            "unrealised_r": 1.0,
        }
        return OpenPosition(**values | changes)

    def inputs(self, **changes: Any) -> DecisionInputs:
        """Fields of DecisionInputs, or of account, symbol and risk by their own names."""
        account, changes = self._take(self.account, changes)
        symbol, changes = self._take(self.symbol, changes)
        risk, changes = self._take(self.risk, changes)
        values: dict[str, Any] = {
            "bid": 1.08500,
            "ask": 1.08507,
            "quote_at": CLOSE_AT - timedelta(seconds=1),
            "base_bar_count": 600,
            "account_state": account,
            "symbol_state": symbol,
            "position": None,
            "risk": risk,
        }
        return DecisionInputs(**values | changes)

    def context(self, **changes: Any) -> DecisionContext:
        """Fields of DecisionContext, or of its inputs."""
        own = {name: changes.pop(name) for name in tuple(changes) if name in DecisionContext.__struct_fields__}
        close_at = own.get("bar_close_at", CLOSE_AT)
        changes.setdefault("quote_at", close_at - timedelta(seconds=1))
        values: dict[str, Any] = {
            "tenant": "alpha",
            "account": "demo",
            "chain_id": "chain",
            "mode": "execute",
            "symbol": "EURUSD",
            "bar_open_at": close_at - timedelta(minutes=5),
            "bar_close_at": close_at,
            "known_at": close_at,
            "inputs": self.inputs(**changes),
            "windows": (
                WindowReference(timeframe="M5", first_open_at=None, last_open_at=None, bar_count=600, sha256="00"),
            ),
            "window_sha256": "00",
            "feature_window": FeatureWindowReference(
                row_count=0, first_close_at=None, sha256_raw="", sha256_normalised="", normaliser_version="identity"
            ),
        }
        return DecisionContext(**values | own)

    def row(self, **indicators: float) -> np.ndarray:
        """A quiet row; `adx_14=0.5` sets the indicator on all timeframes, `m15_adx_14=0.5` on one."""
        values = np.zeros(len(self.features.names))
        known = {definition.indicator for definition in self.features.definitions} | set(self.features.names)
        assert set(indicators) <= known, set(indicators) - known
        for definition in self.features.definitions:
            quiet = QUIET.get(definition.indicator, 0.0)
            values[definition.index] = indicators.get(definition.name, indicators.get(definition.indicator, quiet))
        return values

    def rising(self, strength: float = 1.0) -> np.ndarray:
        """A row on which the trend is up on all timeframes (down for a negative strength)."""
        return self.row(
            ema_20_50_spread=1.8 * strength,
            slope_20=3.0 * strength,
            adx_14=0.36,
            di_balance_14=0.5 * strength,
            efficiency_10=0.5 * strength,
        )

    def _take(self, base: Any, changes: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        own = {name: value for name, value in changes.items() if name in type(base).__struct_fields__}
        rest = {name: value for name, value in changes.items() if name not in own}
        return msgspec.structs.replace(base, **own), rest


@pytest.fixture(scope="session")
def market() -> Market:
    return Market()


class Oracle:
    """A model that answers by a function."""

    def __init__(self, answer: Callable[[np.ndarray], np.ndarray]) -> None:
        self._answer = answer

    def win_probability(self, matrix: np.ndarray) -> np.ndarray:
        return self._answer(matrix)


@pytest.fixture(scope="session")
def release_of(market: Market) -> Callable[..., Release]:
    """Make a release of a function from matrix to probabilities; fields of its manifest can be replaced."""

    def make(answer: Callable[[np.ndarray], np.ndarray], **changes: Any) -> Release:
        count = len(market.features.names)
        values: dict[str, Any] = {
            "release_id": "r-1",
            "created_at": CLOSE_AT,
            "model_version": "m-1",
            "feature_set_version": market.features.version,
            "strategy_version": INTRADAY.version,
            "candidate_features": candidate_feature_names(market.features),
            "blend": 0.3,
            "normaliser": Normaliser(
                version="robust-1", names=market.features.names, location=(0.5,) * count, scale=(2.0,) * count
            ),
            "calibration": Calibration(raw=(0.0, 1.0), calibrated=(0.0, 1.0)),
            "dataset_version": 1,
            "dataset_sha256": "0" * 64,
            "files": {},
            "parent_release_id": None,
        }
        return Release(ReleaseManifest(**values | changes), Oracle(answer))

    return make
