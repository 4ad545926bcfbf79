"""The card beside its model: written at training, written anew by the judgement, kept where the model is in use."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from played import Played

from trading_assets.core.learning.model_card import CARD_FILE, FACTS_FILE, CardFacts, card_html
from trading_assets.core.learning.promotion import Judgement
from trading_assets.defs.card_plots import card_figures
from trading_assets.defs.model_card import judge_card, write_card
from trading_assets.store.home import Home
from trading_assets.store.registry import TrackedTraining, Tracking, attach, register
from trading_assets.store.scores import stored_model

pytestmark = pytest.mark.timeout(900)
REFUSED = Judgement(verdict="refused", reasons=("It drifts.",), blend=0.0)


@pytest.fixture(scope="module")
def facts(played: Played) -> CardFacts:
    """What the card of the played home's model tells."""
    (kept,) = played.home.models.glob(f"meta-*/{FACTS_FILE}")
    return msgspec.json.decode(kept.read_bytes(), type=CardFacts)


def test_the_played_model_has_a_card_with_its_verdict_also_in_mlflow(played: Played, facts: CardFacts) -> None:
    content = (played.home.models / facts.model_version / CARD_FILE).read_text(encoding="utf-8")
    verdict = played.answer["model"]["verdict"]
    assert ("Promoted into shadow" if verdict == "promoted" else "Refused: it decides nothing") in content
    logged = [path.read_text(encoding="utf-8") for path in played.home.mlflow.rglob(CARD_FILE)]
    assert logged == [content]
    assert facts.evaluation.calibration is not None
    assert len(facts.evaluation.calibration.scores) in (0, 3)
    assert {one.name for one in facts.evaluation.by_symbol} == set(facts.symbols)
    assert len(facts.shap) == 20
    assert "<svg" in content
    assert 30_000 < len(content) < 1_500_000


def test_the_same_facts_and_verdict_give_the_same_bytes_in_another_process(facts: CardFacts, tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "facts.json").write_bytes(msgspec.json.encode(facts))
    script = (
        "import sys, msgspec, hashlib\n"
        "from trading_assets.core.learning.model_card import CardFacts, card_html\n"
        "from trading_assets.defs.card_plots import card_figures\n"
        "facts = msgspec.json.decode(open(sys.argv[1], 'rb').read(), type=CardFacts)\n"
        "print(hashlib.sha256(card_html(facts, None, card_figures(facts)).encode()).hexdigest())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "facts.json")], capture_output=True, text=True, check=True
    )
    from hashlib import sha256

    assert told.stdout.strip() == sha256(card_html(facts, None, card_figures(facts)).encode()).hexdigest()


def test_a_card_is_written_once_and_anew_by_its_judgement(played: Played, facts: CardFacts, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    tracking = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", (tmp_path / "artifacts").as_uri())
    model = stored_model(played.home, facts.model_version)
    path = write_card(home, facts)
    assert "Not judged yet" in path.read_text(encoding="utf-8")
    register(
        tracking,
        TrackedTraining(model=model, trained_at=datetime(2026, 1, 1, tzinfo=UTC), documents={CARD_FILE: "before"}),
    )
    assert judge_card(home, lambda: tracking, facts.model_version, REFUSED) == path
    content = path.read_text(encoding="utf-8")
    assert "It drifts." in content
    assert [one.read_text(encoding="utf-8") for one in (tmp_path / "artifacts").rglob(CARD_FILE)] == [content]
    # Trained again on the same rows: what was judged stays.
    assert write_card(home, facts).read_text(encoding="utf-8") == content


def test_no_model_no_card(tmp_path: Path) -> None:
    def nowhere() -> Tracking:
        raise AssertionError("MLflow was asked for nothing")

    assert judge_card(Home(tmp_path), nowhere, None, REFUSED) is None
    assert judge_card(Home(tmp_path), nowhere, "meta-9", REFUSED) is None


def test_nothing_is_added_to_a_model_that_is_not_registered(tmp_path: Path) -> None:
    tracking = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", (tmp_path / "artifacts").as_uri())
    assert attach(tracking, "meta-9", CARD_FILE, "", {}) is False
