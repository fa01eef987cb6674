"""`stylerec style score`: families × strengths on your photos and styles, as a table, a Pareto picture and a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from evaluation.bootstrap import bootstrap_means
from recsys.errors import ConfigError, DataError
from recsys.files import atomic_write, write_bytes, write_json
from recsys.progress import progress
from recsys.registry import component
from study.pictures import picture_names, read_looks
from style.base import Images, Stylizer
from style.decorators.blend import blend
from style.decorators.recipe import Recipe, read_decorators
from style.images import decode, encode_jpeg
from style.imagestore import ImageStore
from style.scoring import BETTER, MEASURES, Judge, front, square

RESAMPLES = 2000
PANELS = (("texture", "ssim"), ("style_cosine", "cosine"))
"""Style against content, a panel each."""
AXES = {
    "texture": "texture left to go (0 = the style itself)",
    "style_cosine": "cosine with the style's vector",
    "ssim": "structure kept (SSIM)",
    "cosine": "same thing (cosine of embeddings)",
}
CELL, LABEL, SHOWN = 112, 170, 3


def score_folder(
    photos: Path,
    styles: Sequence[Path],
    stylizers: Sequence[str],
    recipes: Path | None,
    out: Path,
    *,
    strengths: Sequence[float],
    n_photos: int,
    n_styles: int,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Score each family at each strength; writes scores.csv, scores.json, pareto.png and sheet.jpg below ``out``.

    Means are over photos × styles, intervals (95 %) from a bootstrap over photos.
    """
    families = dict(_families(stylizers, recipes))
    originals = np.stack([square(p) for _, p in _pictures([photos], n_photos)])
    references = {name: square(p, crop=True)[None] for name, p in _pictures(styles, n_styles)}
    judge, rows, shown = Judge(originals), [], dict[str, dict[str, Images]]()
    with progress("score", len(families) * len(references)) as advance:
        for family, stylizer in families.items():
            values: dict[float, list[dict[str, Any]]] = {share: [] for share in strengths}
            for name, style in references.items():
                made = stylizer.apply(originals, stylizer.encode(style), seed=seed)
                shown.setdefault(family, {})[name] = made[:4]
                for share in strengths:
                    shares = np.full(len(made), share, np.float32)
                    values[share].append(judge(blend(originals, made, shares), name, style))
                advance()
            rows += [_row(family, share, values[share], seed) for share in strengths]
    _write(out, rows, originals, references, shown)
    return [{k: v for k, v in row.items() if not k.endswith(("_low", "_high"))} for row in rows]


def _families(stylizers: Sequence[str], recipes: Path | None) -> Iterator[tuple[str, Stylizer]]:
    given = {name: Recipe(name) for name in stylizers}
    for name, table in (read_looks(recipes) if recipes else {}).items():
        keys = {"stylizer", "options", "decorators"}
        if not isinstance(table, Mapping) or "stylizer" not in table or set(table) - keys:
            raise ConfigError(f"{recipes}: [{name}] must have stylizer, and may have options and decorators")
        base = recipes.parent if recipes else Path()
        steps = read_decorators(table.get("decorators", ()), base, where=name)
        given[name] = Recipe(table["stylizer"], table.get("options", {}), steps)
    if not given:
        raise ConfigError("nothing to score; name stylizers, or give a file of recipes")
    for name, recipe in given.items():
        if "style-image" not in component("stylizers", recipe.stylizer).spec.needs:
            raise ConfigError(f"{name}: {recipe.stylizer!r} takes no style image, so it cannot be scored against one")
        yield name, recipe.make()


def _pictures(places: Sequence[Path], count: int) -> list[tuple[str, Images]]:
    """Names and pixels of at most ``count`` pictures, evenly spaced."""
    found: dict[str, Images] = {}
    files = [place for place in places if place.is_file() and place.suffix.lower() != ".zip"]
    for file in files[:count]:
        found[file.stem] = decode(file.read_bytes()).pixels
    for place in [place for place in places if place not in files]:
        with ImageStore.open(place) as store:
            names = picture_names(store)
            for i in np.linspace(0, len(names) - 1, min(count - len(found), len(names))).astype(int):
                found[PurePosixPath(names[i]).stem] = decode(store.read(names[i])).pixels
    if not found:
        raise DataError("no pictures to score; give a folder, a zip or files")
    return list(found.items())


def _row(family: str, share: float, values: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"family": family, "strength": share}
    for name in MEASURES:
        each = np.stack([one[name] for one in values]).mean(axis=0, dtype=np.float64)  # a photo is the unit
        means = bootstrap_means(each[:, None], resamples=RESAMPLES, seed=seed)
        row[name] = float(each.mean())
        row[f"{name}_low"], row[f"{name}_high"] = map(float, np.quantile(means, (0.025, 0.975)))
    return row


def _write(
    out: Path,
    rows: Sequence[dict[str, Any]],
    originals: Images,
    references: Mapping[str, Images],
    shown: Mapping[str, Mapping[str, Images]],
) -> None:
    for row in rows:
        row["on_front"] = False
    for i in front(rows, *PANELS[0]):
        rows[i]["on_front"] = True
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "scores.csv", "w") as file:
        pd.DataFrame(rows).to_csv(file, index=False)
    about = {"photos": len(originals), "styles": list(references), "better": BETTER}
    write_json(out / "scores.json", about | {"rows": list(rows)})
    write_bytes(out / "sheet.jpg", _sheet(originals, references, shown))
    _pareto(out / "pareto.png", rows, len(originals), len(references))


def _pareto(path: Path, rows: Sequence[Mapping[str, Any]], n_photos: int, n_styles: int) -> None:
    """Style against content; a line a family from its least to its full strength, the front in black."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    families = list(dict.fromkeys(row["family"] for row in rows))
    for axes, (style, content) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for k, family in enumerate(families):
            mine = sorted((r for r in rows if r["family"] == family), key=lambda r: r["strength"])
            x, y = [r[content] for r in mine], [r[style] for r in mine]
            spread = [np.abs([[r[m] - r[f"{m}_low"], r[f"{m}_high"] - r[m]] for r in mine]).T for m in (content, style)]
            colour = f"C{k % 10}"
            axes.errorbar(x, y, xerr=spread[0], yerr=spread[1], fmt="none", ecolor=colour, alpha=0.35, lw=1)
            axes.plot(x, y, "-", color=colour, lw=1.6, alpha=0.8, label=family)
            axes.scatter(x, y, s=[14 + 46 * r["strength"] for r in mine], color=colour, marker="osD^vP"[k // 10])
        best = front(rows, style, content)
        axes.plot(
            [rows[i][content] for i in best], [rows[i][style] for i in best], "k--", lw=1, label="best trade-offs"
        )
        if BETTER[style] < 0:
            axes.invert_yaxis()
        axes.set_xlabel(f"{AXES[content]} →")
        axes.set_ylabel(f"{AXES[style]} →")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_title("Texture against structure", loc="left")
    figure.axes[1].set_title("Hand against recognition", loc="left")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    counted = f"{n_photos} photos × {n_styles} styles; larger points take more of the style; up and right is better"
    figure.suptitle(counted, fontsize=11, x=0.01, ha="left")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)


def _sheet(originals: Images, references: Mapping[str, Images], shown: Mapping[str, Mapping[str, Images]]) -> bytes:
    """A row a family at full strength: four photos under each of three styles."""
    names = list(references)[:SHOWN]
    rows = [_strip("style", {n: np.repeat(references[n], 4, axis=0) for n in names}, names)]
    rows.append(_strip("photo", {n: originals[:4] for n in names}, names))
    rows += [_strip(family, made, names) for family, made in shown.items()]
    return encode_jpeg(np.concatenate(rows), 90)


def _strip(label: str, shown: Mapping[str, Images], names: Sequence[str]) -> Images:
    gap = 8
    strip = Image.new("RGB", (LABEL + len(names) * (4 * CELL + gap), CELL), (255, 255, 255))
    ImageDraw.Draw(strip).text((8, CELL // 2 - 8), label, fill=(0, 0, 0), font=ImageFont.load_default(15))
    for s, name in enumerate(names):
        for k, picture in enumerate(shown[name][:4]):
            small = Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.LANCZOS)
            strip.paste(small, (LABEL + s * (4 * CELL + gap) + k * CELL, 0))
    return np.asarray(strip)
