"""The command `stylerec ope`: what a policy would have earned, told from the log of another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from terminal import JSON, PATH, example, show, tell, tell_json


@click.command()
@click.argument("log", type=PATH)
@click.option("--policy", required=True, help="uniform, thompson, model, or a table: which action for which context.")
@click.option("--action", default="item_id", show_default=True, help="Column: what was chosen.")
@click.option("--reward", default="click", show_default=True, help="Column: what came of it.")
@click.option("--propensity", default="propensity", show_default=True, help="Column: its probability, in (0, 1].")
@click.option("--position", default="", help="Column: place on the page.")
@click.option("--context", multiple=True, help="Column that the policy may look at; repeatable.")
@click.option("--feature", "features", multiple=True, help="Column that the reward model may look at; repeatable.")
@click.option("--unit", default="", help="Column: rows with one value are dependent, as a user's are.")
@click.option("--page", default="", help="Column: rows with one value stand on one page; judge whole pages.")
@click.option("--prior", type=PATH, help="Table for thompson: action, alpha, beta.")
@click.option("--otherwise", default="", help="Action for contexts that a table lacks.")
@click.option("--run", type=PATH, help="Finished study, for model and --block.")
@click.option("--model", default="hybrid", show_default=True, help="Which of its models scores the actions.")
@click.option("--block", default="", help="Its feature block that describes the actions.")
@click.option("--temperature", type=float, help="Softmax of the model's scores; default the best action.")
@click.option("--epsilon", type=float, default=0.0, show_default=True, help="Chance that it draws from all alike.")
@click.option("--estimator", "estimators", multiple=True, help="Repeatable; default all.")
@click.option("--decides", default="", help="The estimator that the verdict reads; default the doubly robust one.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@click.option("--out", type=PATH, help="Folder for ope.json, ope.md and ope.svg.")
@click.option("--report", type=PATH, help="HTML page to write, too: self-contained.")
@JSON
@example("stylerec ope log.csv --policy plan.csv --action presentation --context user_id --out judged/")
def ope(
    log: Path,
    estimators: tuple[str, ...],
    decides: str,
    seed: int,
    out: Path | None,
    report: Path | None,
    as_json: bool,
    **named: Any,
) -> None:
    """Judge a policy by a log with propensities: nine estimators, checks of the weights, and a verdict.

    The verdict is withheld where the log cannot tell.
    """
    from evaluation.ope.document import to_document
    from evaluation.ope.page import diagnostic_rows, estimate_rows
    from evaluation.ope.reading import LogColumns
    from evaluation.ope.result import OPEConfig
    from evaluation.report import to_html
    from recsys.files import write_bytes
    from study.off_policy import PolicySource, judge

    columns = LogColumns(**{name: named.pop(name) for name in LogColumns.__dataclass_fields__})
    config = OPEConfig(estimators, decides, seed=seed)
    found = judge(log, PolicySource(**named), columns, config, out=out)
    if report is not None:
        write_bytes(report, to_html(to_document(found)).encode())
        tell(f"report in {report}")
    if as_json:
        tell_json(found.to_json())
        return
    show(estimate_rows(found), as_json=False)
    click.echo("")
    show(diagnostic_rows(found), as_json=False)
    skipped = [f"not used: {name}, {why}" for name, why in found.skipped]
    lines = [f"verdict: {found.verdict}", *found.because, *skipped, *found.assumptions]
    click.echo("\n" + "\n".join(lines))
