"""Looks that sell: is the product still the product, is the look unmistakable, are masks right or refused?

`product` and `look` restyle real shop photos in every built-in look. Inside the mask the median ΔE2000 must be at most
3 (6 where the film is laid on the product, too). A linear classifier on EfficientNet-Lite0's features, chosen and
trained on one half of the items, must name the look of the other half, with the product and without it. `mask` pastes
products that are cut out of real photos on grounds that are drawn, so that their masks are known: white and pale ones,
too.

    python benchmarks/looks.py                  # 400 photos, some minutes on two cores
    python benchmarks/looks.py --part mask
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from recsys.files import write_json
from recsys.registry import create
from style.base import Images
from style.catalogue import restyle
from style.images import decode, encode_jpeg, resize
from style.imagestore import ImageStore
from style.look import builtin_looks
from style.mask import cut_out
from style.masks import mask_source
from style.raster import box_mean, grow

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
SOURCES = ("fashion_products/images.zip", "hm_fashion/images_h176.zip")
GOALS = {"protective": 3.0, "graded": 6.0, "named": 0.95, "named_without_product": 0.90, "iou": 0.95}
GROUNDS = {"white": (255, 255, 255), "off-white": (243, 242, 240), "grey": (206, 205, 203), "beige": (228, 217, 202)}
CLASSIFIERS = {
    **{f"logistic, C = {c:g}": LogisticRegression(max_iter=1000, C=c) for c in (1, 10, 100)},
    **{f"linear SVM, C = {c:g}": LinearSVC(C=c, random_state=0) for c in (0.1, 1, 10)},
}
"""Linear ones on EfficientNet-Lite0's features; which is taken is decided within the first half of the items."""
PALE = 0.65
"""How far a product is moved to white to make a pale one of it."""


def photos(count: int) -> dict[str, bytes]:
    """Evenly spaced, half of each shop."""
    found = {}
    for source in SOURCES:
        with ImageStore.open(DATA / source) as store:
            names = sorted(store.names())
            for name in names[3 :: len(names) // (count // len(SOURCES))][: count // len(SOURCES)]:
                found[f"{source.split('/')[0]}/{name}"] = store.read(name)
    return found


def product_and_look(options: argparse.Namespace) -> dict[str, Any]:
    store, looks = photos(options.photos), list(builtin_looks().values())
    with tempfile.TemporaryDirectory() as folder:
        frame = restyle(list(store), store.__getitem__, looks, Path(folder)).frame
        shown = frame[frame["accepted"]]
        pictures = [decode((Path(folder) / path).read_bytes()).pixels for path in shown["image"]]
    rows = {}
    for look in looks:
        part = frame[(frame["look"] == look.name) & (frame["image"] != "")]
        limit = GOALS["graded" if look.grade.product else "protective"]
        accepted = float(frame.loc[frame["look"] == look.name, "accepted"].mean())
        rows[look.name] = {
            "photos": len(store),
            "masked": len(part),
            "accepted": accepted,
            "median_delta_e": float(part["score_product_delta_e"].median()),
            "largest_delta_e": float(part["score_product_delta_e"].max()),
            "goal": limit,
            "within": float((part["score_product_delta_e"] <= limit).mean()),
        }
    named = classified(pictures, shown["look"].to_numpy(), shown["item_id"].to_numpy(), store)
    show_product(rows, named)
    return {"looks": rows, "named": named}


def classified(pictures: list[Images], looks: np.ndarray, items: np.ndarray, store: dict[str, bytes]) -> dict[str, Any]:
    """Share of the second half of the items whose look is named, from whole pictures and without products."""
    first = set(list(store)[::2])
    train = np.array([item in first for item in items])
    inner = {item: k % 2 for k, item in enumerate(sorted(first))}
    bare = [without_product(p, decode(store[item]).pixels) for p, item in zip(pictures, items, strict=True)]
    found: dict[str, Any] = {"train": int(train.sum()), "test": int((~train).sum())}
    for name, every in (("named", pictures), ("named_without_product", bare)):
        x = features(every)
        fitted = np.array([inner.get(item) == 0 for item in items])
        chosen = choose(x[fitted], looks[fitted], x[train & ~fitted], looks[train & ~fitted])
        said = clone(CLASSIFIERS[chosen]).fit(x[train], looks[train]).predict(x[~train])  # seen once, here
        found[name], found[f"{name}_by"] = float((said == looks[~train]).mean()), chosen
        found[f"{name}_by_look"] = {k: float((said == k)[looks[~train] == k].mean()) for k in sorted(set(looks))}
    return found


def choose(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> str:
    """The classifier that, fitted on one part of the first half's items, names the looks of its other part best."""
    right = {name: float((clone(c).fit(x, y).predict(held_x) == held_y).mean()) for name, c in CLASSIFIERS.items()}
    print("within the first half: " + ", ".join(f"{name} {share:.1%}" for name, share in right.items()))
    return max(right, key=lambda name: right[name])


def without_product(picture: Images, photo: Images) -> Images:
    """Grey where the product was, and a little around it."""
    hidden = grow(cut_out(photo[None]).alpha[0] > 0, 2)
    return np.where(hidden[..., None], np.uint8(128), picture)


def features(pictures: list[Images]) -> np.ndarray:
    encoder = create("encoders", "efficientnet-lite0")
    rows = []
    for start in range(0, len(pictures), 64):
        batch = [resize(p[None], encoder.size)[0] for p in pictures[start : start + 64]]
        rows.append(encoder.encode(np.stack(batch)))
    every = np.concatenate(rows)
    return every / np.linalg.norm(every, axis=1, keepdims=True)


def show_product(rows: dict[str, Any], named: dict[str, Any]) -> None:
    print(f"{'look':<12}{'masked':>8}{'accepted':>10}{'median ΔE':>11}{'largest':>9}{'goal':>6}{'named':>8}{'bare':>8}")
    for name, row in rows.items():
        said = "".join(f"{named[f'{k}_by_look'].get(name, np.nan):>8.1%}" for k in ("named", "named_without_product"))
        print(f"{name:<12}{row['masked']:>8}{row['accepted']:>10.1%}{row['median_delta_e']:>11.2f}", end="")
        print(f"{row['largest_delta_e']:>9.2f}{row['goal']:>6g}{said}")
    for key, what in (("named", "with the product"), ("named_without_product", "with the product masked out")):
        good = "reached" if named[key] >= GOALS[key] else "MISSED"
        print(f"look named {what}: {named[key]:.1%} of {named['test']} pictures (goal {GOALS[key]:.0%}): {good}")
    print()


def mask(options: argparse.Namespace) -> dict[str, Any]:
    """Known masks: products cut out of real photos, as they are and made pale, on drawn studio grounds."""
    rng, rows, masks = np.random.default_rng(0), [], mask_source(options.mask)
    for data in photos(options.photos).values():
        photo = decode(data).pixels
        cut = cut_out(photo[None])
        if cut.confidence[0] < 0.9:
            continue
        light = float(photo[cut.alpha[0] == 1].mean())
        for ground, colour in GROUNDS.items():
            for pale in (False, True):
                picture = composite(photo, cut.alpha[0], cut.background[0], colour, PALE * pale, rng)
                found = masks.cut(decode(encode_jpeg(picture, 92)).pixels[None])
                rows.append((ground, pale or light > 190, overlap(found.alpha[0], cut.alpha[0]), found.confidence[0]))
    every = np.array([(r[2], r[3]) for r in rows])
    found = {}
    for ground in GROUNDS:
        for pale in (False, True):
            found[f"{'pale' if pale else 'other'} on {ground}"] = summary(
                every[[r[0] == ground and r[1] == pale for r in rows]]
            )
    found["all"] = summary(every)
    show_masks(found)
    return found


def composite(
    photo: Images, alpha: np.ndarray, behind: np.ndarray, ground: tuple[int, ...], pale: float, rng: np.random.Generator
) -> Images:
    """The product on a ground with a light falloff, a soft shadow below it and a camera's noise."""
    height, width = alpha.shape
    y = np.linspace(-1, 1, height)[:, None]
    wall = np.array(ground, float) - 4 * rng.uniform() * (y + 1)[..., None] * np.ones((1, width, 1))
    shade = np.roll(alpha, round(0.02 * min(height, width)), axis=0)
    for _ in range(3):
        shade = box_mean(shade, max(1, min(height, width) // 50))
    wall = wall * (1 - 0.08 * shade * (alpha < 1))[..., None]
    share = np.maximum(alpha, 1e-3)[..., None]  # the old studio goes out of the edge
    product = np.clip((photo - (1 - share) * behind.transpose(1, 2, 0)) / share, 0, 255)
    product = product + pale * (236 - product)
    mixed = product * alpha[..., None] + wall * (1 - alpha[..., None]) + rng.normal(0, 0.6, (height, width, 1))
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    a, b = found > 0.5, truth > 0.5
    return float((a & b).sum() / max((a | b).sum(), 1))


def summary(rows: np.ndarray) -> dict[str, float]:
    """Of (IoU, confidence): the accepted masks, and what became of the bad ones."""
    least = builtin_looks()["minimalist"].guard.min_mask
    taken, bad = rows[:, 1] >= least, rows[:, 0] < GOALS["iou"]
    chosen = rows[taken, 0]
    return {
        "composites": len(rows),
        "accepted": float(taken.mean()),
        "median_iou": float(np.median(chosen)) if len(chosen) else float("nan"),
        "p05_iou": float(np.quantile(chosen, 0.05)) if len(chosen) else float("nan"),
        "reached": float((chosen >= GOALS["iou"]).mean()) if len(chosen) else float("nan"),
        "bad": int(bad.sum()),
        "bad_refused": float((~taken[bad]).mean()) if bad.any() else 1.0,
    }


def show_masks(found: dict[str, Any]) -> None:
    head = (
        f"{'':<20}{'composites':>11}{'accepted':>10}{'median IoU':>12}{'5 %':>7}{'>= .95':>8}{'bad':>6}{'refused':>9}"
    )
    print(f"{head}\n", end="")
    for name, row in found.items():
        print(f"{name:<20}{row['composites']:>11}{row['accepted']:>10.1%}{row['median_iou']:>12.3f}", end="")
        print(f"{row['p05_iou']:>7.3f}{row['reached']:>8.1%}{row['bad']:>6}{row['bad_refused']:>9.1%}")
    print()


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"look": product_and_look, "mask": mask}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--mask", default="studio", choices=("studio", "grabcut"))
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} does not exist; set STYLEREC_DATA to the folder with fashion_products and hm_fashion")
    suffix = "" if options.mask == "studio" else f"_{options.mask}"
    for name in options.part or PARTS:
        write_json(HERE / "results" / f"looks_{name}{suffix}.json", PARTS[name](options) | {"goals": GOALS})


if __name__ == "__main__":
    main()
