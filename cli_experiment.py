"""The commands around tests: `stylerec analyze`, `stylerec power` and `stylerec calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from terminal import JSON, PATH, example, show, tell, tell_json

PLAN = """
\b
A plan, written before the test:
  design = "user"                 # | cluster | switchback | interleaving | multi-arm
  users = 40000                   # planned, both arms
  looks = "planned"               # once | any time | planned
  [log]
  unit = "customer"
  arm = "variant"
  control = "original"
  treatment = "stylised"
  time = "shown_at"
  start = "2026-03-08"            # earlier rows are the past, for CUPED
  segments = ["country"]
  [goals.click_through_rate]
  kind = "ratio"                  # mean | proportion | ratio | quantile
  numerator = "click"
  denominator = "impressions"     # the count of rows
  [guardrails.returns]
  numerator = "returned"
  better = "lower"
  margin = 0.02
"""


@click.command(epilog=PLAN)
@click.argument("log")
@click.option("--plan", "plan_file", type=PATH, required=True, help="TOML: goals, guardrails, looks, columns.")
@click.option("--out", type=PATH, help="JSON file to write, too.")
@click.option("--report", type=PATH, help="HTML page to write, too: self-contained.")
@JSON
@example("stylerec analyze impressions.parquet --plan plan.toml --report test.html")
def analyze(log: str, plan_file: Path, out: Path | None, report: Path | None, as_json: bool) -> None:
    """Read a real A/B test: health first, then effects, then ship, roll back, keep running or withheld.

    The plan's design says what was randomised: user, cluster, switchback, interleaving, or multi-arm.

    LOG is Parquet or CSV (or folder/*.parquet), one row an event or a user; it is summed where it lies.
    Needs the extra `sql`.
    """
    from evaluation.experiment.decision import analyze_log
    from evaluation.experiment.many_arms import ManyArms, analyze_arms
    from evaluation.experiment.page import to_document
    from evaluation.experiment.plan import read_plan
    from evaluation.experiment.words import arms_rows, effect_rows, exploratory_rows, health_rows, verdict_lines
    from evaluation.report import to_html
    from recsys.files import write_bytes, write_json

    plan = read_plan(plan_file)
    several = plan.design == "multi-arm"
    found = analyze_arms(log, plan) if several else analyze_log(log, plan, follow=report is not None)
    if out is not None:
        write_json(out, found.to_json())
        tell(f"every figure in {out}")
    if report is not None:
        write_bytes(report, to_html(to_document(found, title=f"Test of {Path(log).name}")).encode())
        tell(f"report in {report}")
    if as_json:
        tell_json(found.to_json())
        return
    show(arms_rows(found) if isinstance(found, ManyArms) else effect_rows(found), as_json=False)
    click.echo("\n" + "\n".join(verdict_lines(found.decision)) + "\n")
    if isinstance(found, ManyArms):
        return
    show(health_rows(found), as_json=False)
    for title, rows in exploratory_rows(found).items():
        click.echo(f"\n{title} (exploratory, not adjusted)")
        show(rows, as_json=False)


@click.command()
@click.argument("log", required=False)
@click.option("--plan", "plan_file", type=PATH, help="With LOG: which goals and columns; arms are not needed.")
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Control's proportion.")
@click.option("--mean", type=float, help="Control's mean, with --sd.")
@click.option("--sd", type=click.FloatRange(0, min_open=True), help="Standard deviation over users.")
@click.option("--effect", "effects", type=float, multiple=True, help="Relative; repeatable. Default 1, 2, 5, 10 %.")
@click.option("--power", "chance", type=float, default=0.8, show_default=True, help="Chance to find it.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Level, two-sided.")
@click.option("--allocation", type=float, default=0.5, show_default=True, help="Share of treatment.")
@click.option("--looks", type=int, default=1, show_default=True, help="Evenly spaced; more than one: group sequential.")
@click.option("--users-per-week", type=float, help="New users a week, for the duration.")
@JSON
@example("stylerec power --rate 0.04 --effect 0.05 --users-per-week 30000 --looks 4")
def power(
    log: str | None,
    plan_file: Path | None,
    rate: float | None,
    mean: float | None,
    sd: float | None,
    effects: tuple[float, ...],
    chance: float,
    alpha: float,
    allocation: float,
    looks: int,
    users_per_week: float | None,
    as_json: bool,
) -> None:
    """How many users, for how many weeks, a test needs: from a rate, a mean, or a log of yours.

    With a log, its users are also split into tests that never were: power_of_log is how often one of that
    size finds the effect, at effect 0 how often it alarms in vain.
    """
    from evaluation.experiment.plan import read_plan
    from evaluation.experiment.planning import Wish, sizes, sizes_from_log, sizes_of_rate
    from recsys.errors import ConfigError

    wish = Wish(
        effects=effects or Wish.effects,
        power=chance,
        alpha=alpha,
        allocation=allocation,
        looks=looks,
        users_per_week=users_per_week,
    )
    if log is not None and plan_file is not None:
        show(sizes_from_log(log, read_plan(plan_file), wish), as_json)
    elif rate is not None:
        show(sizes_of_rate(rate, wish), as_json)
    elif mean is not None and sd is not None:
        show(sizes(mean, sd, wish), as_json)
    else:
        raise ConfigError("power needs --rate, or --mean and --sd, or a log and --plan; see stylerec power --help")


@click.command()
@click.argument("log")
@click.option("--item", default="item_id", show_default=True, help="Column: what was shown.")
@click.option("--click", "clicked", default="click", show_default=True, help="Column: 1 clicked, 0 not.")
@click.option("--position", default="position", show_default=True, help="Column: place on the page.")
@click.option("--page", multiple=True, help="Column: rows with one value stood on one page; repeatable.")
@click.option(
    "--response", "responses", multiple=True, help="Model to fit; repeatable. Default: all that the log can tell."
)
@click.option("--held-out", type=float, default=0.2, show_default=True, help="Share of pages to judge by.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the held-out draw.")
@click.option("--out", type=PATH, help="JSON file for [ab] calibration and simulate --calibration.")
@JSON
@example("stylerec calibrate impressions.csv --page user_id --page session --out clicks.json")
def calibrate(
    log: str,
    item: str,
    clicked: str,
    position: str,
    page: tuple[str, ...],
    responses: tuple[str, ...],
    held_out: float,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Fit response models to a log of impressions, so that simulated customers click like the log's.

    Without --page only the position-based model can be fitted. Each model is judged on pages that it has not seen.
    """
    from evaluation.response.calibrate import NOTE, model_rows, rank_rows, setting_lines
    from evaluation.response.calibrate import calibrate as fit
    from evaluation.response.impressions import ImpressionColumns, read_impressions
    from recsys.files import write_json

    columns = ImpressionColumns(item=item, click=clicked, position=position, page=page)
    found = fit(read_impressions(log, columns), responses, held_out=held_out, seed=seed)
    if found.refused:
        tell(f"{found.refused} rows refused")
    if out is not None:
        write_json(out, found.to_json())
        tell(f"calibration in {out}")
    if as_json:
        tell_json(found.to_json())
        return
    show(model_rows(found), as_json=False)
    click.echo(f"\nClick rate by rank on held-out pages, {found.chosen}")
    show(rank_rows(found), as_json=False)
    caution = [f"caution: {found.caution}"] if found.caution else []
    click.echo("\n" + "\n".join([*setting_lines(found), "", *caution, NOTE]))
