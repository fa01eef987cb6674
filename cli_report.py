"""The command `stylerec report`."""

from __future__ import annotations

from pathlib import Path

import click

from terminal import PATH, example


@click.command()
@click.argument("runs", type=PATH, nargs=-1, required=True, metavar="RUN...")
@click.option("--compare", is_flag=True, help="Set two runs side by side instead.")
@click.option("--out", type=PATH, help="With --compare: the page to write; default comparison.html.")
@example("stylerec report runs/spring\n  stylerec report --compare runs/spring runs/summer --out compared.html")
def report(runs: tuple[Path, ...], compare: bool, out: Path | None) -> None:
    """Write the report of a run anew: report.html, and the same as report.md and report.json.

    Takes up a real test (`stylerec analyze … --out RUN/experiment.json`) and a policy judged by a log
    (`stylerec ope … --out RUN`). A run that did not end is reported as far as it came. With --compare, two runs
    stand side by side: decision, results, offline, cost, and what differs in their configuration.
    """
    from recsys.errors import ConfigError
    from study.stages.report import write_comparison, write_report

    if compare:
        if len(runs) != 2:
            raise ConfigError(f"--compare takes two runs, got {len(runs)}; name the one to compare with first")
        click.echo(write_comparison(*runs, Path("comparison.html") if out is None else out))
        return
    if len(runs) != 1 or out is not None:
        raise ConfigError("report takes one run and writes into its folder; --compare takes two and --out")
    click.echo(write_report(runs[0]))
