"""The commands under `stylerec style classify`: train, predict, evaluate, explain."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from terminal import JSON, PATH, example, show, tell, tell_json

if TYPE_CHECKING:
    from study.classifying import Source

F = TypeVar("F", bound=Callable[..., Any])
METHODS = ("probe", "prototypes", "propagate")


def with_source(command: F) -> Callable[..., Any]:
    """Where items and photos are, as one `Source`."""

    @wraps(command)
    def call(*args: Any, **options: Any) -> Any:
        from study.classifying import Source

        return command(*args, source=Source(*(options.pop(name) for name in PARTS)), **options)

    found: Callable[..., Any] = call
    for option in reversed(SOURCE):
        found = option(found)
    return found


SOURCE = (
    click.argument("images", type=PATH),
    click.option("--table", type=PATH, help="CSV or Parquet of the items; without it every photo is an item."),
    click.option("--item", default="item_id", show_default=True, help="The table's column of ids."),
    click.option("--image", default="", help="Its column of file names; default `<id>.jpg`."),
    click.option("--title", default="", help="Its column of titles: like titles stay on one side of a split."),
    click.option("--group", default="", help="Its column of what else belongs together."),
)
PARTS = ("images", "table", "item", "image", "title", "group")
LABEL = click.option("--label", default="", help="The table's column of labels; default: the folder a photo is in.")


@click.group()
def classify() -> None:
    """Name the style of photos: learn from labelled ones, say how sure it is, abstain when it is not."""


@classify.command()
@with_source
@LABEL
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option("--method", type=click.Choice(METHODS), default="probe", show_default=True, help="See docs/classify.md.")
@click.option("--encoder", "encoders", multiple=True, default=("efficientnet-lite0",), show_default=True)
@click.option("--several", is_flag=True, help="Labels are lists with | between.")
@click.option("--rules", type=PATH, help="TOML of keyword rules that label items without a label by their titles.")
@click.option("--holdout", type=click.FloatRange(0, 0.5), default=0.2, show_default=True, help="Share to judge on.")
@click.option("--balance", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="1: classes count alike.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Abstain below it.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of splits.")
@JSON
@example("stylerec style classify train photos.zip --table items.csv --label usage --title name --out styles/")
def train(
    source: Source,
    balance: float,
    threshold: float,
    seed: int,
    as_json: bool,
    **how: Any,
) -> None:
    """Learn a classifier from labelled photos, and judge it on products that it has not seen."""
    from study.classifying import train
    from style.classify.probe import ProbeConfig

    config = ProbeConfig(balance=balance, threshold=threshold, seed=seed)
    show(train(source, config=config, say=tell, **how), as_json)
    tell(f"classifier in {how['out']}")


@classify.command()
@click.argument("classifier", type=PATH)
@with_source
@click.option("--out", type=PATH, required=True, help="Items with the column: .csv or .parquet.")
@click.option("--column", default="style", show_default=True, help="Name of the column and of the block.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Abstain below it; default as trained.")
@click.option(
    "--top", type=click.IntRange(min=0), default=0, show_default=True, help="Also write the likeliest so many."
)
@click.option("--block", type=PATH, help="Folder for the probabilities as a feature block.")
@JSON
@example("stylerec style classify predict styles/ photos.zip --table items.csv --out items-with-style.csv")
def predict(
    classifier: Path,
    source: Source,
    as_json: bool,
    **how: Any,
) -> None:
    """Name the style of every item, as a column of the catalogue and as features."""
    from study.classifying import predict

    show(predict(classifier, source, say=tell, **how), as_json)


@classify.command()
@click.argument("classifier", type=PATH)
@with_source
@LABEL
@click.option("--out", type=PATH, required=True, help="Folder for evaluation.json, evaluation.md and confusion.svg.")
@JSON
@example("stylerec style classify evaluate styles/ photos.zip --table new.csv --label usage --out judged/")
def evaluate(
    classifier: Path,
    source: Source,
    label: str,
    out: Path,
    as_json: bool,
) -> None:
    """Judge a classifier on labelled photos that it has not learned from."""
    from study.classifying import evaluate

    show(evaluate(classifier, source, out, label=label, say=tell), as_json)


@classify.command()
@click.argument("classifier", type=PATH)
@click.argument("photo", type=PATH)
@click.option(
    "--out", type=PATH, help="Picture to write, .png or .svg: where the style is seen, and the nearest photos."
)
@click.option("--among", type=PATH, help="Folder or zip of known photos to show the nearest of.")
@click.option("--class", "name", default="", help="Style to explain; default the likeliest.")
@click.option("-k", type=click.IntRange(min=1), default=3, show_default=True, help="How many of the nearest.")
@JSON
@example("stylerec style classify explain styles/ photo.jpg --among photos.zip --out why.png")
def explain(
    classifier: Path, photo: Path, out: Path | None, among: Path | None, name: str, k: int, as_json: bool
) -> None:
    """Say why a photo is of a style: shares in words, where it is seen, and the known photos nearest to it."""
    from study.classifying import Source
    from study.style_reasons import explain_style

    source = None if among is None else Source(among)
    found = explain_style(classifier, photo, out=out, among=source, name=name, k=k, say=tell)
    if out is not None:
        tell(f"picture in {out}")
    if as_json:
        tell_json(found)
        return
    click.echo(found["text"] + (f"; like {', '.join(found['like'])}" if found["like"] else "") + "\n")
    show(found["styles"], as_json=False)
