"""Commands about what was learned: the dataset's versions, models, releases."""

from __future__ import annotations

import click

from trading_assets.cli.root import HOME, JSON, answer, existing, trading


@trading.group()
def dataset() -> None:
    """The versions of the learning dataset: list them, compare two, go back to one, go on."""


@dataset.command("versions")
@HOME
@JSON
def dataset_versions(home: str | None, as_json: bool) -> None:
    """Every version with its rows, its hash and the models trained on it."""
    from trading_assets.cli.dataset import versions, versions_report

    answer(versions(existing(home)), as_json, versions_report)


@dataset.command("diff")
@click.argument("earlier", type=int)
@click.argument("later", type=int)
@HOME
@JSON
def dataset_diff(earlier: int, later: int, home: str | None, as_json: bool) -> None:
    """Which rows two versions do not share, or hold with another content."""
    from trading_assets.cli.dataset import diff, diff_report

    answer(diff(existing(home), earlier, later), as_json, diff_report)


@dataset.command("rollback")
@click.argument("version", type=int)
@HOME
@JSON
def dataset_rollback(version: int, home: str | None, as_json: bool) -> None:
    """Make a new version with the content of an old one, and keep it so. Nothing is deleted."""
    from trading_assets.cli.dataset import rollback_report, rolled_back

    answer(rolled_back(existing(home), version), as_json, rollback_report)


@dataset.command("resume")
@HOME
@JSON
def dataset_resume(home: str | None, as_json: bool) -> None:
    """Let new rows enter a dataset that was rolled back."""
    from trading_assets.cli.dataset import resume_report, resumed

    answer(resumed(existing(home)), as_json, resume_report)


@trading.command()
@click.argument("model_version")
@click.option("--signal", "signals", multiple=True, help="A signal id, or the sha256 of a feature window; repeatable.")
@HOME
@JSON
def predict(model_version: str, signals: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Score the candidates of past decisions with any model that was ever trained here, exactly as it would have live."""
    from trading_assets.cli.dataset import predicted, prediction_report

    answer(predicted(existing(home), model_version, signals), as_json, prediction_report)


@trading.group()
def model() -> None:
    """Trained models."""


@model.command("card")
@click.argument("model_version")
@click.option("--open", "opened", is_flag=True, help="Show it in the browser.")
@HOME
@JSON
def model_card(model_version: str, opened: bool, home: str | None, as_json: bool) -> None:
    """Where the card of a model lies: what it is worth, on one page, in words and figures."""
    from trading_assets.cli.model import card

    answer(card(existing(home), model_version, opened), as_json, lambda found: click.echo(found["path"]))


@trading.group()
def release() -> None:
    """What is in use and may be: list releases, look at one, promote a model, go back. Every change stands in the journal."""


REASON = click.option("--reason", required=True, help="Why; it stands in the journal.")


@release.command("list")
@HOME
@JSON
def release_list(home: str | None, as_json: bool) -> None:
    """Every release there is, and the one in use."""
    from trading_assets.cli.release import releases, releases_report

    answer(releases(existing(home)), as_json, releases_report)


@release.command("show")
@click.argument("release_id", required=False)
@HOME
@JSON
def release_show(release_id: str | None, home: str | None, as_json: bool) -> None:
    """One release (the one in use), whether it verifies and loads, and every judgement on its model."""
    from trading_assets.cli.release import release_report, shown

    answer(shown(existing(home), release_id), as_json, release_report)


@release.command("promote")
@click.argument("model_version")
@click.option(
    "--blend", type=click.FloatRange(0.0, 1.0), default=0.0, show_default=True, help="How much it counts; 0 is shadow."
)
@click.option("--force", is_flag=True, help="Set a refusal of the judge aside; it is recorded as such.")
@REASON
@HOME
@JSON
def release_promote(
    model_version: str, blend: float, force: bool, reason: str, home: str | None, as_json: bool
) -> None:
    """Put a trained model into use, by a person's word."""
    from trading_assets.cli.release import moved_report, promote

    answer(promote(existing(home), model_version, blend, reason, is_forced=force), as_json, moved_report)


@release.command("rollback")
@click.option("--to", "release_id", help="Release to go back to, or rules-only. Default: what was in use before.")
@REASON
@HOME
@JSON
def release_rollback(release_id: str | None, reason: str, home: str | None, as_json: bool) -> None:
    """Go back to an earlier release, or to the rules alone."""
    from trading_assets.cli.release import moved_report, roll_back

    answer(roll_back(existing(home), release_id, reason), as_json, moved_report)
