"""Style retrieval across content: is the nearest picture of another product one of the same style?

    python benchmarks/style_retrieval.py [--photos 200] [--cache FOLDER]

200 H&M photos are painted in 10 styles (Magenta, public-domain paintings) and laid over the original with strengths 1,
0.5 and 0.3. Each picture is a query; P@1 by cosine of raw rows, and of rows whitened by what was fitted on the
originals of other photos, which share no product with the queries. Candidates, of one strength and in all styles:

- `across`: pictures of the other photos only, so that the same product is never found; chance is 1 in 10.
- `distracted`: the query's own photo in the nine other styles as well. Only pictures of other photos can be right, and
  what goes by content takes the query's own: this is how far style stands out from content.

Intervals: bootstrap over photos, 95 %. Goal: whitened at least twice raw at strength 0.3.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.files import write_json
from recsys.registry import create
from style.base import Images
from style.encoders.make import make_encoder
from style.features import Rows, embed
from style.images import decode
from style.imagestore import ImageStore
from style.whitening import Whitening

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
STRENGTHS = (1.0, 0.5, 0.3)
STYLES = 10
OTHERS = 2000
DIMS = {"palette": 24, "magenta-style": 64}
BLOCKS = (
    "efficientnet-lite0",
    "gram",
    "channel-statistics",
    "efficientnet-lite0@stage1+stage3+stage5",
    "magenta-style",
    "texture",
    "palette",
    "colour-histogram",
)
AMONG = ("across", "distracted")
GOAL = 2.0


def photos(count: int) -> tuple[list[Images], list[Images]]:
    """The photos to paint, and others of other products (an article's first seven figures are its product)."""
    with ImageStore.open(DATA / "hm_fashion" / "images_h176.zip") as store:
        names = sorted(store.names())
        chosen = names[5 :: len(names) // count][:count]
        products = {Path(name).stem[:7] for name in chosen}
        rest = [name for name in names if Path(name).stem[:7] not in products]
        others = rest[:: max(1, len(rest) // OTHERS)][:OTHERS]
        return tuple([decode(store.read(n)).pixels for n in group] for group in (chosen, others))  # type: ignore[return-value]


def painted(pictures: list[Images], cache: Path) -> list[list[Images]]:
    """By style: every picture at full strength."""
    magenta = create("stylizers", "magenta")
    paintings = sorted((DATA / "style_refs" / "pd").iterdir())[:STYLES]
    found = []
    for number, path in enumerate(paintings):
        file = cache / f"painted-{len(pictures)}-{number}.npz"
        if not file.exists():
            code = magenta.encode(decode(path.read_bytes()).pixels[None])
            made = [magenta.apply(p[None], code)[0] for p in pictures]
            np.savez(file, *made)
        with np.load(file) as arrays:
            found.append([arrays[f"arr_{i}"] for i in range(len(pictures))])
    return found


def laid_over(original: Images, full: Images, strength: float) -> Images:
    return np.rint(original + strength * (full.astype(np.float32) - original)).astype(np.uint8)


def p_at_1(rows: Rows, photo: npt.NDArray[np.int64], style: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """By candidates: whether each row's nearest by cosine is of the same style."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    distracted = style[cosine.argmax(axis=1)] == style
    cosine[photo[:, None] == photo] = -np.inf
    return {"across": style[cosine.argmax(axis=1)] == style, "distracted": distracted}


def interval(hits: npt.NDArray[np.bool_], photo: npt.NDArray[np.int64]) -> list[float]:
    """95 % by resampling photos: pictures of one photo go together."""
    share = np.bincount(photo, hits) / np.bincount(photo)
    rng = np.random.default_rng(0)
    means = share[rng.integers(0, len(share), (2000, len(share)))].mean(axis=1)
    return np.quantile(means, [0.025, 0.975]).tolist()


def measured(rows: Rows, white: Whitening, photo: Any, style: Any) -> dict[str, Any]:
    raw, whitened = p_at_1(rows, photo, style), p_at_1(white.apply(rows), photo, style)
    found: dict[str, Any] = {"dims": white.directions.shape[1]}
    for among in AMONG:
        a, b = raw[among], whitened[among]
        found[among] = {"raw": float(a.mean()), "raw_interval": interval(a, photo)}
        found[among] |= {"whitened": float(b.mean()), "whitened_interval": interval(b, photo)}
        found[among]["ratio"] = float(b.mean() / max(a.mean(), 1e-9))
    return found


def run(options: argparse.Namespace, cache: Path) -> dict[str, dict[str, Any]]:
    cache.mkdir(parents=True, exist_ok=True)
    originals, others = photos(options.photos)
    full = painted(originals, cache)
    encoders = [make_encoder(name) for name in BLOCKS]
    n = len(originals)
    fitted = embed(others.__getitem__, len(others), encoders, cache / "others", key="others").blocks
    dims = {e.name: DIMS.get(e.name, e.whiten or 64) for e in encoders}
    white = {name: Whitening.fit(rows, dims[name]) for name, rows in fitted.items()}
    photo, style = np.tile(np.arange(n), len(full)), np.repeat(np.arange(len(full)), n)
    found: dict[str, dict[str, Any]] = {name: {} for name in BLOCKS}
    for strength in STRENGTHS:

        def load(i: int, strength: float = strength) -> Images:
            return laid_over(originals[photo[i]], full[style[i]][photo[i]], strength)

        key = f"painted {strength} {n}"
        made = embed(load, len(photo), encoders, cache / f"strength-{strength}", key=key, label=key).blocks
        for name, rows in made.items():
            found[name][str(strength)] = measured(np.asarray(rows), white[name], photo, style)
    return found


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    for among in AMONG:
        print(f"\n{among + ': P@1':<42}" + "".join(f"{'strength ' + s:>24}" for s in map(str, STRENGTHS)))
        print(f"{'':<42}" + "raw  whitened  ratio".rjust(24) * len(STRENGTHS))
        for name, rows in found.items():
            cells = (
                f"{r[among]['raw']:>13.3f}{r[among]['whitened']:>6.3f}{r[among]['ratio']:>5.1f}" for r in rows.values()
            )
            print(f"{name:<42}{''.join(cells)}")
        weak = {name: r["0.3"][among] for name, r in found.items()}
        best = max(weak, key=lambda name: weak[name]["ratio"])
        verdict = "reached" if weak[best]["ratio"] >= GOAL else "MISSED"
        print(f"largest ratio at 0.3: {best}, {weak[best]['ratio']:.2f} (goal {GOAL}: {verdict})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--cache", type=Path, help="keep painted pictures and rows here, to go on later")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options, options.cache or Path(folder))
    show(found)
    write_json(HERE / "results" / "style_retrieval.json", {"photos": options.photos, "styles": STYLES, "blocks": found})


if __name__ == "__main__":
    main()
