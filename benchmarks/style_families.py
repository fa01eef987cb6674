"""Every stylizer on the same photos and styles: how near the style comes, what is left of the product, how fast.

    python benchmarks/style_families.py [--photos 40] [--styles 10] [--models runs/style-models] [--only magenta adain]

Photos and style images come from the folder STYLEREC_DATA names. Trained families are read from `--models`, one folder
a family (`feedforward`, `adain`, …, as `stylerec style train` writes them); those that are not there are named and left
out, as are those that ask a provider or need a checkpoint. cyclegan and cut, which know a domain alone, are judged by
one style. Families that optimise every picture see `--slow` photos.

    gram       style share: squared distance of Gram matrices to the style's, over the unstyled photo's
    colours    sliced Wasserstein distance of the colours to the style's, over the unstyled photo's
    ssim       structural similarity with the photo
    edges      correlation of gradients with the photo's
    cosine     of EfficientNet-Lite0 embeddings with the photo's: is it still the same thing
    s/photo    seconds, in batches of 8

All over whole pictures, the mean of photos x styles with 95 % intervals from a bootstrap over photos. The styles as
used (`styles/`, what to train on) and a contact sheet are written into `--models`.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from evaluation.bootstrap import bootstrap_means
from recsys.errors import ConfigError
from recsys.files import read_json, write_bytes, write_json
from recsys.progress import silenced
from recsys.registry import component, create, names
from style.base import Images, Stylizer
from style.distance import sliced_wasserstein
from style.guard import pixel_scores
from style.images import decode, encode_jpeg
from style.imagestore import ImageStore
from style.perception import Perception, as_tensor, resized
from style.scoring import square

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
SIZE = 224
BATCH = 8
SLOW = ("adaptive", "neural_style", "photoreal.matting")
DOMAIN = "starry_night"
"""What families that know a domain alone are judged by: train them on pictures of its kind."""
SHOWN, CELL, LABEL = 3, 112, 150
"""Styles of the contact sheet, and pixels of a picture and of the names."""
MEASURES = ("gram", "colours", "ssim", "edges", "cosine")


def photos(count: int) -> Images:
    """(count, 224, 224, 3) product photos, evenly spaced in the catalogue, on white."""
    with ImageStore.open(DATA / "fashion_products" / "images.zip") as store:
        chosen = sorted(store.names())
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, count).astype(int)]
        return np.stack([square(decode(store.read(name)).pixels) for name in chosen])


def styles(count: int) -> dict[str, Images]:
    """Name → (1, 224, 224, 3), paintings and textures in turns."""
    folders = [sorted((DATA / "style_refs" / part).glob("*.*")) for part in ("pd", "repo")]
    turns = [path for pair in zip(*folders, strict=False) for path in pair]
    return {p.stem: square(decode(p.read_bytes()).pixels, crop=True)[None] for p in turns[:count]}


def keep(pictures: Mapping[str, Images], folder: Path) -> None:
    """As files without loss, to train on."""
    for name, image in pictures.items():
        data = io.BytesIO()
        Image.fromarray(image[0]).save(data, "PNG")
        write_bytes(folder / f"{name}.png", data.getvalue())


class Judge:
    """What is measured of a made picture."""

    def __init__(self, originals: Images) -> None:
        self.originals, self.encoder = originals, create("encoders", "efficientnet-lite0")
        self.perception = Perception.of("efficientnet-lite0", device="cpu")
        self.seen = self.embedded(originals)
        self.unstyled: dict[str, dict[str, npt.NDArray[np.float64]]] = {}

    def embedded(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, d) unit rows."""
        parts = [self.encoder.encode(images[i : i + 32]) for i in range(0, len(images), 32)]
        found = np.concatenate(parts)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))

    @torch.no_grad()
    def gram(self, images: Images, style: Images) -> npt.NDArray[np.float64]:
        """(n,) see `Perception.parts`."""
        grams, found = self.perception.grams(as_tensor(style)), []
        for start in range(0, len(images), BATCH):
            x = as_tensor(images[start : start + BATCH])
            found.append(self.perception.parts(x, self.perception.targets(x), grams)["style"].numpy())
        return np.concatenate(found).astype(np.float64)

    def colours(self, images: Images, style: Images) -> npt.NDArray[np.float64]:
        """(n,) sliced Wasserstein distances."""
        return np.array([sliced_wasserstein(image, style[0]) for image in images])

    def __call__(self, made: Images, rows: slice, name: str, style: Images) -> dict[str, npt.NDArray[np.float64]]:
        """(n,) of each measure, of the pictures made of ``rows``."""
        before = self.originals[rows]
        if name not in self.unstyled:
            kinds = {"gram": self.gram, "colours": self.colours}
            self.unstyled[name] = {k: measure(self.originals, style) for k, measure in kinds.items()}
        unstyled = self.unstyled[name]
        pixels = pixel_scores(before, made, np.ones(made.shape[:3], np.float32))
        return {
            "gram": self.gram(made, style) / unstyled["gram"][rows],
            "colours": self.colours(made, style) / unstyled["colours"][rows],
            "ssim": pixels["ssim_whole"],
            "edges": pixels["edge"],
            "cosine": (self.embedded(made) * self.seen[rows]).sum(axis=1),
        }


def families(models: Path, only: list[str]) -> Iterator[tuple[str, Stylizer]]:
    """Those that can run here, with why the others cannot."""
    for name in names("stylizers"):
        spec = component("stylizers", name).spec
        if only and name not in only:
            continue
        options: dict[str, Any] = {}
        if "training" in spec.needs:
            if not (models / name / "model.json").is_file():
                print(f"{name}: no trained model in {models / name}; left out")
                continue
            options["model"] = str(models / name)
        if "prompt" in spec.needs:
            print(f"{name}: needs a provider or a checkpoint; left out")
            continue
        yield name, create("stylizers", name, **options)


def measured(
    stylizer: Stylizer, judge: Judge, references: Mapping[str, Images], count: int
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, Images], float]:
    """((styles, photos) of each measure, style → its first pictures, seconds a photo)."""
    rows, seconds, shown = slice(0, count), 0.0, dict[str, Images]()
    found: dict[str, list[Any]] = {name: [] for name in MEASURES}
    domain = "style-image" not in stylizer.spec.needs
    chosen = {DOMAIN: references[DOMAIN]} if domain and DOMAIN in references else references
    for title, style in chosen.items():
        code = stylizer.encode(np.empty((0, 16, 16, 3), np.uint8) if domain else style)
        start = time.perf_counter()
        parts = [stylizer.apply(judge.originals[i : i + BATCH], code) for i in range(0, count, BATCH)]
        seconds += time.perf_counter() - start
        made = np.concatenate(parts)[:count]
        shown[title] = made[:4]
        for name, values in judge(made, rows, title, style).items():
            found[name].append(values)
    return {k: np.stack(v) for k, v in found.items()}, shown, seconds / (count * len(shown))


def interval(values: npt.NDArray[np.float64], seed: int = 0) -> list[float]:
    """Mean over (styles, photos), and its 95 % interval by a bootstrap over photos."""
    each = values.mean(axis=0, dtype=np.float64)
    means = bootstrap_means(each[:, None], resamples=2000, seed=seed)
    return [float(each.mean()), *map(float, np.quantile(means, (0.025, 0.975)))]


class Sheet:
    """The contact sheet: a row a family, four photos under each of three styles, names and styles beside and above."""

    def __init__(self, originals: Images, references: Mapping[str, Images]) -> None:
        self.names = list(references)[:SHOWN]
        self.rows = [self.row("style", {n: np.repeat(references[n], 4, axis=0) for n in self.names})]
        self.rows.append(self.row("photo", dict.fromkeys(self.names, originals)))

    def row(self, label: str, shown: Mapping[str, Images]) -> Images:
        """(CELL, width, 3) uint8; a style that ``shown`` lacks stays blank."""
        cells = np.full((len(self.names), 4, CELL, CELL, 3), 255, np.uint8)
        for cell, name in zip(cells, self.names, strict=True):
            if name in shown:
                cell[: len(shown[name])] = resized(shown[name][:4], CELL)
        head = Image.new("RGB", (LABEL, CELL), (255, 255, 255))
        ImageDraw.Draw(head).text((6, CELL // 2 - 7), label, fill=(0, 0, 0), font=ImageFont.load_default(14))
        return np.concatenate([np.asarray(head), *cells.reshape(-1, CELL, CELL, 3)], axis=1)

    def add(self, family: str, shown: Mapping[str, Images]) -> None:
        """One more row; a family that was judged by other styles shows those in their places."""
        places = dict(zip(self.names, shown.values(), strict=False)) if not set(self.names) & set(shown) else shown
        only = "" if len(shown) > 1 else f"\n({next(iter(shown))})"
        self.rows.append(self.row(family + only, places))

    def jpeg(self) -> bytes:
        """The whole."""
        return encode_jpeg(np.concatenate(self.rows), 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--styles", type=int, default=10)
    parser.add_argument("--slow", type=int, default=4, help="photos for families that optimise each picture")
    parser.add_argument("--models", type=Path, default=HERE.parent / "runs" / "style-models")
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    judge, references = Judge(photos(options.photos)), styles(options.styles)
    keep(references, options.models / "styles")
    table, sheet = {}, Sheet(judge.originals, references)
    print(f"{'':<20}" + "".join(f"{m:>24}" for m in MEASURES) + f"{'photos x styles':>17}{'s/photo':>9}")
    for name, stylizer in families(options.models, options.only):
        count = min(options.slow if name in SLOW else options.photos, options.photos)
        try:
            with silenced():
                values, shown, seconds = measured(stylizer, judge, references, count)
        except ConfigError as error:  # a network that was trained for other styles
            print(f"{name}: {error}")
            continue
        row = {m: interval(values[m]) for m in MEASURES}
        pairs = f"{count} x {len(shown)}"
        table[name] = {**row, "pairs": pairs, "seconds": seconds}
        cells = "".join(f"{a:>9.3f} [{b:.3f}, {c:.3f}]".rjust(24) for a, b, c in row.values())
        print(f"{name:<20}{cells}{pairs:>17}{seconds:>9.2f}", flush=True)
        sheet.add(name, shown)
    out = HERE / "results" / "style_families.json"
    if options.only and out.exists():  # the others' rows stay
        table = read_json(out)["families"] | table
    write_json(out, {"styles": list(references), "families": table})
    write_bytes(options.models / "contact-sheet.jpg", sheet.jpeg())
    print(f"contact sheet, a row a family, three styles: {options.models / 'contact-sheet.jpg'}")


if __name__ == "__main__":
    main()
