"""Scores of past decisions: those a released model gave live come out again bit for bit; an old version trains again to its bytes."""

from __future__ import annotations

import json

import pytest
from played import Played, trading

from trading_assets.cli.dataset import diff, diff_report, predicted, prediction_report, versions, versions_report
from trading_assets.core.errors import InputError
from trading_assets.core.learning.meta_model import MetaModel
from trading_assets.core.records.decisions import Decision
from trading_assets.defs.learning import TrainingConfig, train_version
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake
from trading_assets.store.scores import predict_batch, stored_model

pytestmark = pytest.mark.timeout(900)


def model_of(played: Played) -> str:
    return str(played.answer["model"]["version"])


def decisions_of(played: Played, count: int) -> list[Decision]:
    found = (one for one in read_records(played.home.raw, stream="trading", types=(Decision,)))
    priced = [one for one in found if isinstance(one, Decision) and one.candidates]
    return priced[:: max(len(priced) // count, 1)][:count]


def test_scores_equal_those_the_decision_would_have_recorded_live(played: Played) -> None:
    """The decision is made again with the model in its release, as the daemon does; the scores are the same bits."""
    from trading_assets.core.decisions.scoring import candidate_matrix_of

    model = stored_model(played.home, model_of(played))
    chosen = decisions_of(played, 25)
    found = predict_batch(played.home, model.version, [one.signal_id for one in chosen])
    by_idea = dict(zip(found["idea_id"], found["win_probability"], strict=True))
    for decision in chosen:
        ideas, matrix = candidate_matrix_of(decision)
        for number, idea in enumerate(ideas):
            assert by_idea[idea] == model.win_probability(matrix[number : number + 1])[0]
    live = found.filter(found["recorded_model_version"] == model.version)
    assert live["win_probability"].equals(live["recorded_probability"], check_names=False)


def test_a_feature_window_names_its_decision(played: Played) -> None:
    (one,) = decisions_of(played, 1)
    by_signal = predict_batch(played.home, model_of(played), [one.signal_id])
    by_window = predict_batch(played.home, model_of(played), [one.feature_window.sha256_raw])
    assert by_signal.equals(by_window)
    assert by_signal.height == len([idea for idea in one.candidates if idea.kind in ("LONG", "SHORT")])


def test_unknown_names_are_refused(played: Played) -> None:
    with pytest.raises(InputError, match="no ingested decision"):
        predict_batch(played.home, model_of(played), ["nothing"])
    with pytest.raises(InputError, match="never trained here"):
        stored_model(played.home, "meta-000000000000")


def test_a_version_of_the_dataset_trains_again_to_the_same_bytes(played: Played) -> None:
    (row,) = Lake(played.home.lake).read("meta_models").to_dicts()
    _, training = train_version(
        Lake(played.home.lake), row["dataset_version"], TrainingConfig(), frozenset(), lambda _: None
    )
    kept = (played.home.models / row["model_version"] / "meta_model.json").read_bytes()
    assert training.model.to_bytes() == kept
    assert MetaModel.from_bytes(kept).version == row["model_version"]


def test_the_command_line_lists_compares_and_scores(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    listed = versions(played.home)["versions"]
    assert len(listed) >= 2
    assert any(one["models"] == [model_of(played)] for one in listed)
    differing = diff(played.home, listed[0]["version"], listed[-1]["version"])
    assert len(differing["added"]) == listed[-1]["rows"] - listed[0]["rows"]
    assert differing["removed"] == differing["changed"] == []
    (one,) = decisions_of(played, 1)
    scored = predicted(played.home, model_of(played), [one.signal_id])
    assert {score["signal_id"] for score in scored["scores"]} == {one.signal_id}
    for report, result in (
        (versions_report, {"versions": listed}),
        (diff_report, differing),
        (prediction_report, scored),
    ):
        report(result)
    assert one.signal_id in capsys.readouterr().out, "an id is never cut: it goes into the next command"
    with pytest.raises(InputError, match="no decision is named; name one with --signal; the latest: 01"):
        predicted(played.home, model_of(played), [])
    told = json.loads(trading("dataset", "versions", "--home", str(played.home.root), "--json").stdout)
    assert [one["sha256"] for one in told["versions"]] == [one["sha256"] for one in listed]
    refused = trading("dataset", "rollback", "999", "--home", str(played.home.root))
    assert refused.returncode == 1
    assert "never recorded" in refused.stderr
