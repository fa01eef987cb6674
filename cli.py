"""The command line: thin click commands that wire `study`, `style`, `recsys` and `evaluation` together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import click

from cli_evaluate import evaluate
from cli_experiment import analyze, calibrate, power
from cli_ope import ope
from cli_report import report
from cli_serve import events, serve
from cli_style import style
from terminal import JSON, PATH, Clean, deliver, example, show, tell, tell_json

STUDY = click.argument("study", type=PATH)
RUN = click.argument("run", type=PATH)
OUT = click.option("--out", type=PATH, help="Study folder; default runs/<name of the study file>.")
MODEL = click.option("--model", default="hybrid", show_default=True, help="Which fitted model.")
K = click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="List length.")
JUDGE = "By lists over all items, or by the mean of lists of warm and of cold items alone."

MINIMAL = """
\b
A minimal study file:
  [catalog]
  path = "items.csv"          # item_id, title, category, price, image
  images = "photos/"          # folder or zip
  [interactions]
  path = "purchases.csv"      # user_id, item_id, timestamp
"""


@click.group(cls=Clean, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="stylerec")
def main(debug: bool) -> None:
    """Restyle product photos, recommend from what is shown, and measure honestly whether it helps."""


@main.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Where to write.")
@click.option("--items", type=click.IntRange(min=20), default=240, show_default=True, help="Products to draw.")
@click.option("--users", type=click.IntRange(min=20), default=500, show_default=True, help="Customers to simulate.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of everything random.")
@example("stylerec demo --out demo")
def demo(out: Path, items: int, users: int, seed: int) -> None:
    """Draw a sample store and run the whole study on it; no network, no data of yours."""
    from study.chain import ALL
    from study.demo import write_demo
    from study.results import headline
    from study.run import Study, run_stages

    study = Study.create(write_demo(out, items=items, users=users, seed=seed), out / "run")
    run_stages(study, ALL, say=tell)
    click.echo(headline(study.folder))


@main.command(epilog=MINIMAL)
@STUDY
@OUT
@JSON
@example("stylerec run study.toml --out runs/spring")
def run(study: Path, out: Path | None, as_json: bool) -> None:
    """Run a whole study: ingest, looks, features, models, offline comparison, simulated A/B test, report.

    Finished stages are reused; a run that was cut off continues where it stopped.
    """
    from study.chain import ALL
    from study.results import headline, metrics
    from study.run import Study, run_stages

    made = Study.create(study, out)
    run_stages(made, ALL, say=tell)
    click.echo(json.dumps(metrics(made.folder), ensure_ascii=False) if as_json else headline(made.folder))


@main.command()
@STUDY
@click.option("--strict", is_flag=True, help="Exit with code 1 when anything is unusable.")
@JSON
@example("stylerec check study.toml")
def check(study: Path, strict: bool, as_json: bool) -> None:
    """Say what of the data is usable and what is not, and why; writes nothing."""
    from study.check import check_study

    found = check_study(study)
    if as_json:
        tell_json(found.to_json())
    else:
        click.echo(found.to_text())
    if strict and not found.is_clean:
        sys.exit(1)


@main.command()
@STUDY
@OUT
@example("stylerec fit study.toml --out runs/spring")
def fit(study: Path, out: Path | None) -> None:
    """Fit every model of a study on all interactions, without evaluation or report."""
    from study.chain import FITTING
    from study.run import Study, run_stages

    made = Study.create(study, out)
    run_stages(made, FITTING, say=tell)
    click.echo(f"models: {', '.join(sorted(made.config.make_models()))} in {made.folder / 'models'}")


@main.command()
@RUN
@MODEL
@click.option("--users", type=PATH, help="CSV with a user_id column; default: every user.")
@K
@click.option("--look", default="original", show_default=True, help="A look, `best` for each user, or original.")
@click.option("--rules", type=PATH, help="TOML of [[rerank]] tables, in place of the study's own.")
@click.option("--skip-unknown", is_flag=True, help="Leave out users the model does not know instead of refusing.")
@click.option("--include-seen", is_flag=True, help="Also recommend what the user already bought.")
@click.option("--out", type=PATH, help="CSV to write; default standard output.")
@JSON
@example("stylerec recommend runs/spring --model hybrid --users users.csv -k 20 --out recs.csv")
def recommend(
    run: Path,
    model: str,
    users: Path | None,
    k: int,
    look: str,
    rules: Path | None,
    skip_unknown: bool,
    include_seen: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Recommend the best items to users: user_id, item_id, score, rank, presentation, and with `best` the reason."""
    from recsys.rerank.chain import read_steps
    from study.serving import read_users, recommend_from

    recs = recommend_from(
        run,
        model,
        read_users(users),
        k=k,
        look=look,
        rules=None if rules is None else read_steps(rules),
        exclude_seen=not include_seen,
        skip_unknown=skip_unknown,
        say=tell,
    )
    deliver(recs, out, as_json)


@main.command()
@RUN
@click.argument("items", nargs=-1, required=True)
@MODEL
@K
@JSON
@example("stylerec similar runs/spring 0108775015 -k 5")
def similar(run: Path, items: tuple[str, ...], model: str, k: int, as_json: bool) -> None:
    """List the items most like the given ones, as the model sees them."""
    from study.serving import similar_from

    deliver(similar_from(run, model, items, k=k), None, as_json)


@main.command()
@RUN
@click.argument("user")
@click.argument("item")
@MODEL
@click.option(
    "--by",
    type=click.Choice(["item", "user", "both"]),
    help="What of the item, what of the user (such as past items), or every pair; default item where it has features.",
)
@click.option("--out", type=PATH, help="Picture to write: .svg or .png.")
@JSON
@example("stylerec explain runs/spring 00411 0108775015 --out why.svg")
def explain(run: Path, user: str, item: str, model: str, by: Any, out: Path | None, as_json: bool) -> None:
    """Say why an item is recommended to a user: two sentences, and the parts that add up to the score."""
    from study.explaining import WORDS, explain_from, explanation_json, rows

    explained, titles = explain_from(run, model, user, item)
    if out is not None:
        explained.draw(out, by, titles)
        tell(f"picture in {out}")
    if as_json:
        tell_json(explanation_json(explained, titles, by))
        return
    click.echo(f"{explained.to_text(titles, words=WORDS)}\n")
    show([*rows(explained, titles, by), {"kind": "score", "name": "", "value": explained.score}], as_json=False)


@main.command()
@RUN
@click.argument("user")
@click.option("--classifier", type=PATH, help="Folder of a classifier whose blocks the study has.")
@click.option("--column", default="", help="Or the catalogue's column of styles.")
@click.option("--level", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True, help="Of intervals.")
@JSON
@example("stylerec profile runs/spring 00411 --classifier styles/")
def profile(run: Path, user: str, classifier: Path | None, column: str, level: float, as_json: bool) -> None:
    """Say which styles a user's history has, with intervals by its size: a sentence and a table."""
    from study.profile import profiles_of

    made = profiles_of(run, classifier=classifier, column=column, level=level)
    text, rows = made.to_text(user), made.rows(user)
    if as_json:
        tell_json({"user_id": user, "text": text, "items": made.items_of(user), "styles": rows})
        return
    click.echo(f"{text}\n")
    show(rows, as_json=False)


@main.command()
@STUDY
@click.option("--model", default="hybrid", show_default=True, help="Which model of the study.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=30, show_default=True, help="With those of earlier calls."
)
@click.option("--folds", type=click.IntRange(min=1), default=2, show_default=True, help="Windows of time to judge by.")
@click.option("--judge", type=click.Choice(["all", "halves"]), default="all", show_default=True, help=JUDGE)
@OUT
@JSON
@example("stylerec tune study.toml --model hybrid --trials 30 --out runs/spring")
def tune(
    study: Path, model: str, trials: int, folds: int, judge: Literal["all", "halves"], out: Path | None, as_json: bool
) -> None:
    """Look for better options of a model on the train side of the split, never on its test.

    Called again it goes on where it stopped. Needs the extra `tune`.
    """
    from study.run import Study
    from study.tune import importance_rows, trial_rows, tune_study

    made = Study.create(study, out)
    found = tune_study(made, model, trials=trials, folds=folds, judge=judge, say=tell)
    if as_json:
        tell_json(found.tuning.to_json())
        return
    show(trial_rows(found.tuning), as_json=False)
    click.echo("")
    show(importance_rows(found.tuning), as_json=False)
    click.echo(f"\n{found.toml or 'no trial is better than the options of the study file; keep them'}")


@main.command()
@RUN
@click.option("--users", type=click.IntRange(min=2), help="Customers in the simulated test; default as in the study.")
@click.option("--style-effect", type=float, help="Assumed, on the log-odds of a click; default as in the study.")
@click.option("--response", help="How a page is clicked: position-based, cascade, dbn or mnl; default as in the study.")
@click.option("--calibration", type=PATH, help="File of `stylerec calibrate`; default as in the study.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the simulation.")
@JSON
@example("stylerec simulate runs/spring --users 50000 --style-effect 0.05")
def simulate(run: Path, calibration: Path | None, seed: int, as_json: bool, **changes: Any) -> None:
    """Rehearse the A/B test `stylised` against `original` on a finished run, under an assumed effect."""
    from study.results import experiment_rows, experiment_words
    from study.stages.experiment import rehearse

    log = None if calibration is None else str(calibration.resolve())
    experiment = rehearse(run, seed=seed, calibration=log, **changes)
    if as_json:
        tell_json(experiment)
        return
    show(experiment_rows(experiment), as_json=False)
    click.echo(f"\n{experiment_words(experiment)}")


main.add_command(analyze)
main.add_command(calibrate)
main.add_command(evaluate)
main.add_command(events)
main.add_command(ope)
main.add_command(power)
main.add_command(report)
main.add_command(serve)
main.add_command(style)


if __name__ == "__main__":
    main()
