"""The commands under `stylerec style`: restyle, film, train, describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli_classify import classify
from terminal import JSON, PATH, example, show, tell

TRAINABLE = ("adain", "cut", "cyclegan", "feedforward", "sanet")

OWN_LOOK = """
\b
A file of looks:
  [painted]                       # a painter's hand, kept off the product
  stylizer = "magenta"
  image = "starry_night.jpg"      # relative to this file
  region = "background"
  strength = 0.6
  [retro]                         # a built-in look, a little warmer
  grade = { warmth = 0.3 }
"""


@click.group()
def style() -> None:
    """Restyle and describe pictures."""


style.add_command(classify)


@style.command("list")
@click.option("--commercial", is_flag=True, help="Only what may be used commercially.")
@click.option("--offline", is_flag=True, help="Only what needs no network.")
@JSON
@example("stylerec style list --commercial")
def style_list(commercial: bool, offline: bool, as_json: bool) -> None:
    """List stylizers, looks and encoders: what they need and under which licence."""
    from study.show import style_rows

    show(style_rows(commercial=commercial, offline=offline), as_json)


@style.command(epilog=OWN_LOOK)
@click.argument("images", type=PATH)
@click.option("--look", "looks", multiple=True, default=("retro",), show_default=True, help="Built in; repeatable.")
@click.option("--looks", "looks_file", type=PATH, help="TOML with looks of your own: [name] tables.")
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of grain and jitter.")
@click.option("--workers", type=click.IntRange(1), help="Batches worked on at once; one a core without it.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Photos in one; memory follows.")
@JSON
@example("stylerec style transfer photos/ --look retro --look minimalist --out restyled/")
def transfer(
    images: Path, looks: tuple[str, ...], looks_file: Path | None, out: Path, as_json: bool, **how: Any
) -> None:
    """Restyle every picture of a folder or zip; what is no longer the product is rejected with a reason.

    Killed, or stopped by a full disk, it goes on where it was when it is called again.
    """
    from study.pictures import transfer_folder

    show(transfer_folder(images, looks, looks_file, out, **how), as_json)


@style.command("learn-look")
@click.argument("references", type=PATH)
@click.option("--name", required=True, help="Of the look.")
@click.option("--out", type=PATH, required=True, help="TOML file to write, or to add the look to.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the drawings compared with.")
@JSON
@example("stylerec style learn-look references/ --name brand --out looks.toml")
def learn(references: Path, name: str, out: Path, seed: int, as_json: bool) -> None:
    """Learn a brand's look from 5 to 20 reference photos: grade, palettes, backdrop and texture, as TOML to edit."""
    from study.brand import learn_look

    show(learn_look(references, name, out, seed=seed), as_json)


@style.command("score")
@click.argument("images", type=PATH)
@click.option("--style", "styles", multiple=True, required=True, type=PATH, help="Pictures, folders or zips.")
@click.option("--stylizer", "stylizers", multiple=True, help="Registered name; repeatable.")
@click.option("--recipes", type=PATH, help="TOML with [name] tables of stylizer, options and decorators.")
@click.option(
    "--strength",
    "strengths",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    default=(0.25, 0.5, 0.75, 1.0),
    show_default=True,
    help="How much of it is taken; repeatable.",
)
@click.option("--photos", "n_photos", type=click.IntRange(1), default=40, show_default=True, help="At most so many.")
@click.option("--styles", "n_styles", type=click.IntRange(1), default=10, show_default=True, help="At most so many.")
@click.option("--out", type=PATH, required=True, help="Folder for scores.csv, scores.json, pareto.png, sheet.jpg.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@JSON
@example("stylerec style score photos/ --style styles/ --stylizer colour.mkl --stylizer magenta --out scores/")
def score(
    images: Path,
    styles: tuple[Path, ...],
    stylizers: tuple[str, ...],
    recipes: Path | None,
    strengths: tuple[float, ...],
    out: Path,
    as_json: bool,
    **how: int,
) -> None:
    """Score families × strengths: how much style arrives, and how much of the photo is left.

    Needs the extra `pretrained`.
    """
    from study.scoring import score_folder

    show(score_folder(images, styles, stylizers, recipes, out, strengths=strengths, **how), as_json)


@style.command("creatives")
@click.argument("catalog", type=PATH)
@click.option("--images", type=PATH, help="Folder or zip of the table's pictures; CATALOG may be one itself.")
@click.option("--look", "looks", multiple=True, required=True, help="LOOK for all, or SEGMENT=LOOK; repeatable.")
@click.option("--looks", "looks_file", type=PATH, help="TOML with looks of your own: [name] tables.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=("1:1", "4:5", "9:16", "16:9"),
    show_default=True,
    help="Of the placement; repeatable.",
)
@click.option("--segment", default="", help="Column whose values are the segments; all items are one without it.")
@click.option("--per-segment", type=click.IntRange(1), default=4, show_default=True, help="Items of each.")
@click.option("--title", default="", help="Column whose text is laid on the creatives; none without it.")
@click.option("--column", "columns", multiple=True, help="OURS=THEIRS, as in `--column item_id=sku`; repeatable.")
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of grain and scenery.")
@JSON
@example("stylerec style creatives items.csv --images photos/ --look retro --segment category --out creatives/")
def creatives(
    catalog: Path,
    images: Path | None,
    looks: tuple[str, ...],
    looks_file: Path | None,
    formats: tuple[str, ...],
    out: Path,
    as_json: bool,
    **how: Any,
) -> None:
    """Render ad creatives: the product whole, in a look, inside the safe area of each format."""
    from study.creatives import make_creatives

    show(make_creatives(catalog, images, looks, looks_file, formats, out, **how), as_json)


@style.command("video")
@click.argument("clip", type=PATH)
@click.option("--look", default="", help="Built in, or one of the file of looks.")
@click.option("--looks", "looks_file", type=PATH, help="TOML with looks of your own: [name] tables.")
@click.option("--stylizer", default="", help="Repaints whole frames, in place of a look.")
@click.option("--style", "styles", multiple=True, type=PATH, help="Its style image; repeatable.")
@click.option("--set", "pairs", multiple=True, help="An option of it, as in `--set side=256`; repeatable.")
@click.option(
    "--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="How much of it is taken."
)
@click.option("--accept-licence", is_flag=True, help="Its licence was read, and fits.")
@click.option("--carry", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="0 lets frames flicker.")
@click.option("--audio/--no-audio", default=True, show_default=True, help="Copy the sound.")
@click.option("--out", type=PATH, required=True, help="Clip to write: .mp4, .mov, .mkv or .webm.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@JSON
@example("stylerec style video clip.mp4 --stylizer colour.mkl --style night.jpg --out styled.mp4")
def video(
    clip: Path,
    look: str,
    looks_file: Path | None,
    stylizer: str,
    styles: tuple[Path, ...],
    pairs: tuple[str, ...],
    strength: float,
    accept_licence: bool,
    out: Path,
    seed: int,
    as_json: bool,
    **how: Any,
) -> None:
    """Restyle a clip so that what stands still does not flicker; times, size and sound stay.

    Needs the extra `video`.
    """
    from study.training import options_from
    from study.video import choose_look, transfer_clip
    from style.video import VideoConfig

    keys = {"options": options_from(pairs), "strength": strength, "accept_licence": accept_licence}
    chosen = choose_look(look, looks_file, stylizer=stylizer, styles=styles, **keys)
    show(transfer_clip(clip, chosen, out, seed=seed, config=VideoConfig(**how)), as_json)


@style.command()
@click.argument("kind", type=click.Choice(TRAINABLE))
@click.argument("photos", type=PATH)
@click.option(
    "--style",
    "styles",
    multiple=True,
    required=True,
    type=PATH,
    help="A style image, or a folder or zip of them; repeatable.",
)
@click.option("--out", type=PATH, required=True, help="Folder to write to; goes on with what is there.")
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Batches at most.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Photos in one.")
@click.option("--size", type=click.IntRange(min=32), default=128, show_default=True, help="Of the crops, in pixels.")
@click.option("--every", type=click.IntRange(min=1), default=100, show_default=True, help="Steps between checkpoints.")
@click.option("--patience", type=click.IntRange(min=0), default=0, show_default=True, help="Checks without a new best.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@click.option("--set", "pairs", multiple=True, help="An option of the kind, as in `--set size=full`; repeatable.")
@click.option("--tensorboard", is_flag=True, help="Also write what TensorBoard shows; needs the extra track.")
@JSON
@example("stylerec style train feedforward photos/ --style night.jpg --out models/night")
def train(
    kind: str,
    photos: Path,
    styles: tuple[Path, ...],
    out: Path,
    pairs: tuple[str, ...],
    tensorboard: bool,
    as_json: bool,
    **how: int,
) -> None:
    """Train a stylizer on your own photos, with a sample sheet; a training that was cut off goes on bit for bit."""
    from study.training import options_from, train_style
    from style.training import TrainConfig

    options, config = options_from(pairs), TrainConfig(**how)
    rows = train_style(kind, photos, styles, out, config=config, options=options, tensorboard=tensorboard, say=tell)
    show(rows, as_json)


@style.command()
@click.argument("images", type=PATH)
@click.option(
    "--encoder", "encoders", multiple=True, default=("efficientnet-lite0",), show_default=True, help="Repeatable."
)
@click.option("--out", type=PATH, required=True, help="Folder to write to: <encoder>.npy, .json, items.csv.")
@click.option("--like", type=PATH, help="A study's folder: its blocks, by the parameters that it fitted.")
@click.option("--items", type=PATH, help="With --like: the photos' items, for blocks that read columns.")
@JSON
@example("stylerec style embed photos/ --encoder gram --out features/")
def embed(
    images: Path, encoders: tuple[str, ...], out: Path, like: Path | None, items: Path | None, as_json: bool
) -> None:
    """Describe every picture of a folder or zip as feature vectors."""
    from study.embeddings import describe_like
    from study.pictures import embed_folder

    show(describe_like(like, images, out, items) if like else embed_folder(images, encoders, out), as_json)
