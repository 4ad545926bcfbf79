"""A person's word on releases: recorded before the pointer moves, refused without force against the judge, and taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from table_rows import rows_of

from trading_assets.cli.entry import trading
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.normaliser import IDENTITY
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel, TrainingParams, train_on
from trading_assets.core.learning.policy import DEFAULT
from trading_assets.core.records.operations import Promotion
from trading_assets.core.tables import TABLES
from trading_assets.defs.decay import drift_alarms
from trading_assets.defs.judgements import judged, point_at_last, record
from trading_assets.defs.learning import TRAINED, Trained
from trading_assets.defs.promotion import was_demoted
from trading_assets.defs.rollout import roll_out
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id, read_manifest

FEATURES = FEATURE_SETS["intraday"]
NAMES = ("spread_bp", "consensus", "cost_r")
AT = datetime(2026, 2, 2, 2, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Home:
    home = Home(tmp_path)
    new_lake(home.lake)
    home.raw.mkdir()
    return home


@pytest.fixture
def model(home: Home) -> str:
    """A trained model, not judged yet; returns its version."""
    chance = np.random.default_rng(1)
    matrix = chance.normal(size=(400, 3)).astype(np.float32)
    trained = train_on(matrix, chance.random(400) < 0.4, NAMES, TrainingParams(trees=5, leaves=4, rows_per_leaf=20))
    kept = Trained(
        model_version=trained.version, refusal="", dataset_version=3, dataset_sha256="ab" * 32,
        feature_set_version=FEATURES.version, strategy_version="intraday-1", trained_until=AT, evaluation=None,
        against_champion=None, normaliser=IDENTITY(FEATURES.names),
    )  # fmt: skip
    replace_atomically(home.models / trained.version / MODEL_FILE, trained.to_bytes())
    replace_atomically(home.models / trained.version / TRAINED, msgspec.json.encode(kept))
    return trained.version


def judge_it(home: Home, model: str, verdict: str) -> None:
    record(home, Lake(home.lake), AT, judged(
        AT, model_version=model, dataset_version=3, verdict=verdict, release_id=None, blend=0.0, reasons=("Because.",)
    ))  # fmt: skip


def run(home: Home, *arguments: str) -> dict[str, Any]:
    """Run a command as a person does; its error is raised."""
    done = CliRunner().invoke(trading, ["release", *arguments, "--home", str(home.root), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def told(home: Home) -> list[Promotion]:
    return [one for one in read_records(home.raw, stream="ops", types=(Promotion,)) if isinstance(one, Promotion)]


def test_a_promotion_stands_in_the_journal_and_a_rollback_returns_to_what_was_before(home: Home, model: str) -> None:
    judge_it(home, model, "promoted")
    first = run(home, "promote", model, "--reason", "it was judged well")
    second = run(home, "promote", model, "--blend", "0.1", "--reason", "more of it")
    assert (first["release_id"], second["release_id"]) == (f"{model}-blend-0", f"{model}-blend-10")
    assert current_id(home.releases) == second["release_id"]
    assert read_manifest(home.releases, second["release_id"]).blend == 0.1
    back = run(home, "rollback", "--reason", "it was too soon")
    assert back["release_id"] == current_id(home.releases) == first["release_id"]
    run(home, "rollback", "--to", "rules-only", "--reason", "enough")
    assert current_id(home.releases) is None
    records = told(home)[1:]
    assert [(one.action, one.trigger, one.release_id, one.from_release_id, one.from_blend) for one in records] == [
        ("judge", "person", f"{model}-blend-0", None, None),
        ("judge", "person", f"{model}-blend-10", f"{model}-blend-0", 0.0),
        ("rollback", "person", f"{model}-blend-0", f"{model}-blend-10", 0.1),
        ("rollback", "person", "rules-only", f"{model}-blend-0", 0.0),
    ]
    assert all(one.policy_version == DEFAULT.version and not one.is_forced for one in records)
    assert Lake(home.lake).read("promotions").height == 5


@pytest.mark.parametrize("verdict", ["refused", None])
def test_a_model_the_judge_did_not_pass_needs_force_which_is_recorded(
    home: Home, model: str, verdict: str | None
) -> None:
    if verdict is not None:
        judge_it(home, model, verdict)
    with pytest.raises(InputError, match="--force"):
        run(home, "promote", model, "--reason", "I like it")
    assert current_id(home.releases) is None
    assert run(home, "promote", model, "--reason", "I like it", "--force")["is_forced"]
    assert told(home)[-1].is_forced
    assert told(home)[-1].reasons == ("By a person: I like it",)


def test_an_unknown_model_or_release_an_empty_reason_and_nothing_to_go_back_to_are_refused(
    home: Home, model: str
) -> None:
    with pytest.raises(InputError, match="never trained here"):
        run(home, "promote", "meta-unknown", "--reason", "why", "--force")
    with pytest.raises(InputError, match="no such release"):
        run(home, "rollback", "--to", "r-9", "--reason", "why")
    with pytest.raises(InputError, match="rules decide alone already"):
        run(home, "rollback", "--reason", "why")
    with pytest.raises(InputError, match="--reason"):
        run(home, "promote", model, "--reason", " ", "--force")
    assert told(home) == []


def test_list_and_show_say_what_is_in_use_and_what_does_not_verify(home: Home, model: str) -> None:
    assert run(home, "list") == {"current": "rules-only", "releases": []}
    run(home, "promote", model, "--reason", "why", "--force")
    run(home, "promote", model, "--blend", "0.3", "--reason", "why", "--force")
    (home.releases / f"{model}-blend-0" / MODEL_FILE).write_bytes(b"torn")
    listed = {one["release_id"]: one for one in run(home, "list")["releases"]}
    assert listed[f"{model}-blend-30"]["is_current"]
    assert "sha256" in listed[f"{model}-blend-0"]["problem"]
    shown = run(home, "show")
    assert shown["release_id"] == f"{model}-blend-30"
    assert shown["problem"] == ""
    assert [one["is_forced"] for one in shown["judgements"]] == [True, True]
    with pytest.raises(InputError, match="no such release"):
        run(home, "show", "r-9")
    for arguments in (("list",), ("show",), ("show", "rules-only")):
        done = CliRunner().invoke(trading, ["release", *arguments, "--home", str(home.root)])
        assert done.exit_code == 0, done.output
        # An id is never cut: it goes into the next command.
        assert arguments != ("list",) or f"│ {model}-blend-30 │" in done.output
        assert arguments != ("show",) or (
            "{'" not in done.output and shown["manifest"]["dataset_sha256"] in done.output
        )


def test_a_folder_that_is_no_release_keeps_no_model_from_being_promoted(home: Home, model: str) -> None:
    run(home, "promote", model, "--reason", "why", "--force")
    shutil.copytree(home.releases / f"{model}-blend-0", home.releases / "a-copy")
    (home.models / model / TRAINED).unlink()
    run(home, "promote", model, "--blend", "0.2", "--reason", "why", "--force")
    assert current_id(home.releases) == f"{model}-blend-20"
    with pytest.raises(InputError, match="never trained here"):
        run(home, "promote", "meta-unknown", "--reason", "why", "--force")


def test_a_pointer_left_behind_by_a_death_is_moved_by_the_next_look(home: Home, model: str) -> None:
    run(home, "promote", model, "--reason", "why", "--force")
    lake = Lake(home.lake)
    record(home, lake, datetime.now(UTC), judged(
        AT, model_version=model, dataset_version=3, verdict="refused", release_id="rules-only", blend=0.0,
        reasons=("It died here.",), action="demote", trigger="rollout",
    ))  # fmt: skip
    assert current_id(home.releases) == f"{model}-blend-0"
    point_at_last(home, lake)
    assert current_id(home.releases) is None
    assert was_demoted(lake, model)


# --- the rollout, on live results in the lake ---------------------------------------------------------------------------


def live_rows(model: str, release_id: str, *, is_good: bool) -> pl.DataFrame:
    """Dataset rows of twelve days scored live under a release by a model that knows, or one that has it upside down."""
    schema = TABLES["learning_dataset"].schema
    count = 1_200
    chance = np.random.default_rng(2)
    is_win = chance.random(count) < 0.5
    at = pl.Series(
        [datetime(2026, 2, 3 + n // 100, 8, n % 60, n // 60 % 60, tzinfo=UTC) for n in range(count)],
        dtype=schema["decided_at"],
    )
    sure = np.where(is_win == is_good, 0.95, 0.05)
    known: dict[str, Any] = {
        "idea_id": [f"i-{n}" for n in range(count)], "signal_id": [f"s-{n}" for n in range(count)], "decided_at": at,
        "label_end_at": at, "bar_close_at": at, "date": at.dt.date(), "is_win": is_win,
        "result_r": np.where(is_win, 1.0, -1.0), "win_probability": sure, "profit_tier": np.where(is_win, "large_gain", "full_loss"),
        "release_id": release_id, "model_version": model, "kind": "LONG", "barrier": "stop", "labels_version": "l",
        "regime": "ranging", "suggestion": "WAIT", "action": "NONE",
    }  # fmt: skip
    plain = {pl.String: "x", pl.Int64: 1, pl.Float64: 0.0, pl.Boolean: False, pl.List: [0.0]}
    frame = pl.DataFrame({"idea_id": known["idea_id"]})
    for column in TABLES["learning_dataset"].columns:
        value = known.get(column.name, plain.get(type(column.dtype)))
        added = value if isinstance(value, pl.Series | np.ndarray) else None
        expression = (
            pl.Series(column.name, added)
            if added is not None
            else pl.Series(column.name, value)
            if isinstance(value, list) and len(value) == count
            else pl.lit(value).alias(column.name)
        )
        frame = frame.with_columns(expression)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


@pytest.mark.parametrize(
    ("is_good", "action", "named"), [(True, "step_up", "blend-30"), (False, "demote", "rules-only")]
)
def test_the_rollout_steps_up_on_good_live_results_and_demotes_on_bad_ones(
    home: Home, model: str, is_good: bool, action: str, named: str
) -> None:
    release_id = run(home, "promote", model, "--blend", "0.1", "--reason", "why", "--force")["release_id"]
    lake = Lake(home.lake)
    lake.append("learning_dataset", live_rows(model, release_id, is_good=is_good))
    roll_out(home, lake, datetime.now(UTC))
    last = told(home)[-1]
    assert (last.action, last.trigger, last.from_blend) == (action, "rollout", 0.1)
    assert last.release_id is not None
    assert last.release_id.endswith(named)
    assert (current_id(home.releases) or "rules-only") == last.release_id
    assert was_demoted(lake, model) is not is_good
    # The next look finds no result under the new release yet, which is a hold, or no release.
    roll_out(home, lake, datetime.now(UTC))
    assert [one.action for one in told(home)] == ["judge", action, *(["hold"] if is_good else [])]


def test_a_hold_is_recorded_with_its_reasons_and_once_while_they_stay_the_same(home: Home, model: str) -> None:
    judge_it(home, model, "promoted")
    release_id = run(home, "promote", model, "--blend", "0.1", "--reason", "why")["release_id"]
    lake = Lake(home.lake)
    for _ in range(3):
        assert roll_out(home, lake, datetime.now(UTC))[1].move == "hold"  # type: ignore[index]
    record_of_hold = told(home)[-1]
    assert [one.action for one in told(home)] == ["judge", "judge", "hold"]
    assert (record_of_hold.trigger, record_of_hold.release_id, record_of_hold.blend) == ("rollout", None, 0.1)
    assert record_of_hold.from_release_id == current_id(home.releases) == release_id
    assert record_of_hold.reasons[0].startswith("0 live decisions on 0 days have labels")
    lake.append("learning_dataset", live_rows(model, release_id, is_good=True).head(200))
    roll_out(home, lake, datetime.now(UTC))
    assert told(home)[-1].reasons[0].startswith("200 live decisions on 2 days have labels")
    # It refuses a step and not the model: a person needs no force after it.
    assert not run(home, "promote", model, "--reason", "back to shadow")["is_forced"]


def test_features_that_have_moved_since_the_model_learned_take_its_release_back_a_step(home: Home, model: str) -> None:
    release_id = run(home, "promote", model, "--blend", "0.3", "--reason", "why", "--force")["release_id"]
    lake = Lake(home.lake)
    lake.append("learning_dataset", live_rows(model, release_id, is_good=True))
    lake.append(
        "meta_models",
        rows_of("meta_models", 1, trained_at=[AT], model_version=[model], feature_set_version=[FEATURES.version]),
    )
    chance, count = np.random.default_rng(3), 2_600
    values = chance.normal(size=(count, len(FEATURES.names)))
    values[600:] += 3.0
    closes = [AT + timedelta(minutes=5 * (n - 600)) for n in range(1, count + 1)]
    lake.append("features", rows_of(
        "features", count, close_at=closes, date=[one.date() for one in closes], values=values.tolist(),
        feature_set_version=[FEATURES.version] * count,
    ))  # fmt: skip
    roll_out(home, lake, datetime.now(UTC))
    last = told(home)[-1]
    assert (last.action, last.blend, last.release_id) == ("step_back", 0.1, f"{model}-blend-10")
    assert "A drift alarm stands: " in last.reasons[0]
    assert drift_alarms(lake, DEFAULT, "meta-of-another-training") == ()


def test_there_is_nothing_to_roll_out_under_the_rules_alone(home: Home) -> None:
    assert roll_out(home, Lake(home.lake), AT) is None


def test_the_model_of_a_release_is_the_same_at_every_blend(home: Home, model: str) -> None:
    for blend in ("0", "0.1"):
        run(home, "promote", model, "--blend", blend, "--reason", "why", "--force")
    contents = {(home.releases / f"{model}-blend-{n}" / MODEL_FILE).read_bytes() for n in (0, 10)}
    assert len(contents) == 1
    assert MetaModel.from_bytes(contents.pop()).version == model
