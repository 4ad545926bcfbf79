"""The model card beside its model: `models/<version>/card.html`, made of `card.json` there and of the judgement.

Written when a model is trained, and again once it is judged. What stands on it lives in `core.learning.model_card`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.meta_model import matrix_of
from trading_assets.core.learning.model_card import CARD_FILE, FACTS_FILE, CardFacts, card_html, shap_summary
from trading_assets.core.learning.promotion import Judgement
from trading_assets.core.learning.training import Training
from trading_assets.defs.card_plots import card_figures
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.registry import Tracking, attach
from trading_assets.store.release import current_id, read_manifest


def card_facts(
    training: Training,
    frame: pl.DataFrame,
    *,
    dataset_version: int,
    dataset_sha256: str,
    champion: tuple[Evaluation, Evaluation] | None,
) -> CardFacts:
    """Return what the card of a training tells; `frame` holds the dataset rows it was trained on."""
    model = training.model
    frame = frame.sort("decided_at", "idea_id")
    judged = frame.join(training.judged.select("idea_id"), on="idea_id", how="semi", maintain_order="left")
    latest = frame.row(-1, named=True)
    return CardFacts(
        model_version=model.version,
        dataset_version=dataset_version,
        dataset_sha256=dataset_sha256,
        labels=f"{latest['labels_version']}, costs {latest['costs_version']}",
        feature_set_version=latest["feature_set_version"],
        strategy_version=latest["strategy_version"],
        symbols=tuple(sorted(set(frame["symbol"]))),
        first_at=frame["decided_at"][0],
        last_at=latest["decided_at"],
        row_count=training.row_count,
        win_share=training.win_share,
        feature_count=len(model.feature_names),
        base_names=model.base_names,
        variant=training.variant.name,
        params=training.variant.params,
        tried={name: one.log_loss for name, one in training.tried.items()},
        evaluation=training.evaluation,
        holdout=training.holdout,
        logistic=training.logistic,
        champion=champion,
        importance=tuple(model.importance()[:20]),
        shap=shap_summary(model, matrix_of(judged, len(model.feature_names))),
        remarks=training.remarks,
    )


def write_card(home: Home, facts: CardFacts) -> Path:
    """Keep the facts of a model and write its card, not judged yet; return its path.

    A card that is there already stays: the same model was trained again, and may have been judged.
    """
    folder = home.models / facts.model_version
    path = folder / CARD_FILE
    replace_atomically(folder / FACTS_FILE, msgspec.json.encode(facts))
    if not path.exists():
        replace_atomically(path, card_html(facts, None, card_figures(facts)).encode())
    return path


def judge_card(
    home: Home, tracking: Callable[[], Tracking], model_version: str | None, judgement: Judgement
) -> Path | None:
    """Write a model's card anew with its judgement, also where MLflow keeps it; None where there is no model or no facts.

    The card of the model in use stays as it is: training it again on the same rows is no news of it.
    """
    folder = home.models / str(model_version)
    if model_version is None or not (folder / FACTS_FILE).exists():
        return None
    current = current_id(home.releases)
    if current is not None and read_manifest(home.releases, current).model_version == model_version:
        return folder / CARD_FILE
    facts = msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=CardFacts)
    content = card_html(facts, judgement, card_figures(facts))
    replace_atomically(folder / CARD_FILE, content.encode())
    attach(tracking(), model_version, CARD_FILE, content, {"verdict": judgement.verdict})
    return folder / CARD_FILE
