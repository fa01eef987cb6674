"""`stylerec evaluate`: the offline comparison, again with other seeds, periods and shares, and beside outside lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from terminal import JSON, PATH, example, show, tell

REPEATED = "one at a time: --seeds, --folds, --fraction and --recommendations each make a table of their own"


@click.command()
@click.argument("study", type=PATH)
@click.option("--out", type=PATH, help="Study folder; default runs/<name of the study file>.")
@click.option("--seeds", type=click.IntRange(min=2), help="Train every model again with so many seeds.")
@click.option("--folds", type=click.IntRange(min=2), help="Compare in so many periods, one after the other.")
@click.option(
    "--fraction",
    "fractions",
    type=click.FloatRange(0, 1, min_open=True),
    multiple=True,
    help="Learn from this share of the train rows; repeatable.",
)
@click.option("--model", "models", multiple=True, help="Repeat only this model, with its features; repeatable.")
@click.option(
    "--recommendations",
    "outside",
    multiple=True,
    help="NAME=FILE: lists of any library, as user_id, item_id and rank or score; repeatable.",
)
@click.option("--skip-unknown", is_flag=True, help="Leave out and count rows of unknown ids instead of refusing them.")
@click.option("--beyond", is_flag=True, help="Show what the lists are like beyond accuracy instead.")
@click.option("--format", "kind", type=click.Choice(["csv", "markdown", "latex"]), help="Print this instead.")
@JSON
@example("stylerec evaluate study.toml --out runs/spring")
def evaluate(
    study: Path,
    out: Path | None,
    seeds: int | None,
    folds: int | None,
    fractions: tuple[float, ...],
    models: tuple[str, ...],
    outside: tuple[str, ...],
    skip_unknown: bool,
    beyond: bool,
    kind: str | None,
    as_json: bool,
) -> None:
    """Compare the models offline on the study's split: warm and cold items apart, with intervals.

    The table shows the longest lists, best recall first; --beyond shows novelty, popularity, diversity and calibration
    of the same lists; --json gives every metric and length. CSV, Markdown and LaTeX are written into the folder's
    `comparison`.
    """
    from evaluation.offline.tables import as_text
    from recsys.files import read_json
    from study.chain import OFFLINE_CHAIN
    from study.results import offline_beyond, offline_ranking, offline_rows
    from study.run import Study, run_stages

    if sum(map(bool, (seeds, folds, fractions, outside))) > 1:
        raise click.UsageError(REPEATED)
    if beyond and (seeds or folds or fractions or kind):
        raise click.UsageError("--beyond shows one comparison; leave --seeds, --folds, --fraction and --format out")
    if models and not (seeds or folds or fractions):
        raise click.UsageError("--model goes with --seeds, --folds or --fraction")
    made = Study.create(study, out)
    run_stages(made, OFFLINE_CHAIN, say=tell)
    with made.folder.lock():
        if outside:
            found = _outside(made, outside, skip_unknown)
        elif seeds or folds or fractions:
            show(_repeats(made, seeds, folds, fractions, models), as_json)
            return
        else:
            found = read_json(made.folder / "offline.json")
    if kind is not None and not as_json:
        click.echo(as_text(found, kind), nl=False)
        return
    if beyond:
        show(offline_beyond(found), as_json)
        return
    show(offline_rows(found) if as_json else offline_ranking(found), as_json)


def _outside(study: Any, pairs: tuple[str, ...], skip_unknown: bool) -> dict[str, Any]:
    from study.outside import compare_outside, named_files

    return compare_outside(study, named_files(pairs), on_unknown="skip" if skip_unknown else "raise", say=tell)


def _repeats(
    study: Any, seeds: int | None, folds: int | None, fractions: tuple[float, ...], models: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Means and deviations at the longest lists; of a learning curve every step."""
    from study.repeats import over_folds, over_fractions, over_seeds, spread

    run: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "seed": lambda: over_seeds(study, seeds or 0, say=tell, only=models),
        "fold": lambda: over_folds(study, folds or 0, say=tell, only=models),
        "fraction": lambda: over_fractions(study, fractions, say=tell, only=models),
    }
    over = "seed" if seeds else "fold" if folds else "fraction"
    rows = run[over]()
    longest = max(study.config.evaluation.k)
    rows = rows if over == "fraction" else spread(rows, over)
    rows = [row for row in rows if row["k"] == longest and row["metric"] in ("recall", "ndcg")]
    return [{key: value for key, value in row.items() if key != "denominator"} for row in rows]
