"""Styles by optimisation: how fast, and whether they keep what they promise, on product photos.

    python benchmarks/style_neural.py [--part speed --part edges --part levels] [--photos 20] [--rounds 5]

`speed`: pictures a second of neural_style with 8 at once against one at a time, and its step against forward and
backward of the trunk alone, on the same pictures. Contenders take turns; figures are medians over rounds. CPU time is
given beside: on a machine with other work it says what an idle one would do.
`edges`: photoreal and photoreal.matting must keep a correlation of edge strength of 0.95, and come closer to the
style.
`levels`: of adaptive and of fixed weights, how many photos end within 10 % of the level asked for. Fixed weights are
the best of a grid, chosen on the same photos, which flatters them.

Photos and styles come from the folder STYLEREC_DATA names; without it there is nothing to measure.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from turns import take_turns

from recsys.files import write_json
from recsys.models.crew import one_thread
from recsys.registry import create
from style.base import Images, StyleCode
from style.distance import sliced_wasserstein
from style.encoders.trunk import cores
from style.images import decode
from style.imagestore import ImageStore
from style.perception import Perception, as_tensor
from style.stylizers.adaptive import GENTLE, AdaptiveStyle
from style.stylizers.neural import NeuralStyle
from style.stylizers.photoreal import edge_correlation

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
SIZE = 117, 176
AT_ONCE = 8
TOGETHER, ALONE, TRUNK, SINGLE = "8 at once", "one at a time", "trunk alone, 8", "trunk alone, 8, one thread"
GOALS = {"at_once": 1.5, "step": 1.15, "edge": 0.95, "level": 0.1}
LEVELS = {"content_level": 0.3, "style_level": 0.3}
GRID = (0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 100.0)


def photos(count: int, first: int) -> Images:
    """Evenly spaced; other photos than those that the controller was tuned on."""
    with ImageStore.open(DATA / "hm_fashion" / "images_h176.zip") as store:
        names = sorted(store.names())
        chosen = names[first :: len(names) // count][:count]
        return np.stack([np.asarray(Image.fromarray(decode(store.read(n)).pixels).resize(SIZE)) for n in chosen])


def styles(count: int) -> dict[str, Images]:
    paths = sorted((DATA / "style_refs" / "pd").glob("*.jpg"))
    found = {}
    for path in paths[1 :: max(1, len(paths) // count)][:count]:
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((512, 512))
        found[path.stem] = np.array(picture)[None]
    return found


def trunk_alone(perception: Perception, x: torch.Tensor, steps: int) -> None:
    """Forward and backward through the layers that neural_style looks at, as often as it does."""
    wanted = {*perception.content, *perception.style}
    for _ in range(steps + 1):
        y = x.clone().requires_grad_()
        found = list(perception.backbone.features(y, wanted).values())
        torch.autograd.grad(found, y, [torch.ones_like(f) for f in found])


def speed(options: argparse.Namespace) -> dict[str, Any]:
    stylizer = NeuralStyle(steps=options.steps, backbone=options.backbone, weights=options.weights)
    x = as_tensor(photos(AT_ONCE, 7))
    code = stylizer.encode(next(iter(styles(1).values())))
    grams = {k: torch.from_numpy(a) for k, a in code.arrays.items()}
    together, alone = stylizer.optimise(x, grams), [stylizer.optimise(p, grams) for p in torch.split(x, 1)]
    apart = float((together - torch.cat(alone)).abs().max() * 255)

    def on_one_thread() -> None:
        with one_thread():
            trunk_alone(stylizer.perception, x, options.steps)

    work: dict[str, Callable[[], Any]] = {
        TOGETHER: lambda: stylizer.optimise(x, grams),
        ALONE: lambda: [stylizer.optimise(p, grams) for p in torch.split(x, 1)],
        TRUNK: lambda: trunk_alone(stylizer.perception, x, options.steps),
        SINGLE: on_one_thread,
    }
    timed = take_turns(work, options.rounds)
    ratios = {
        "at_once": timed[ALONE]["wall_s"] / timed[TOGETHER]["wall_s"],
        "step": timed[TOGETHER]["wall_s"] / timed[TRUNK]["wall_s"],
        "step_cpu": timed[TOGETHER]["cpu_s"] / timed[SINGLE]["cpu_s"],
    }
    found = {"timed": timed, "ratios": ratios, "largest_difference": apart, "steps": options.steps, "cores": cores()}
    show_speed(found)
    return found


def show_speed(found: dict[str, Any]) -> None:
    for name, row in found["timed"].items():
        cpu = 1e3 * row["cpu_s"] / found["steps"]
        print(f"{name:<28}{AT_ONCE / row['wall_s']:>8.2f} images/s{cpu:>9.1f} CPU ms/step")
    ratios = found["ratios"]
    good = ratios["at_once"] >= GOALS["at_once"] and max(ratios["step"], ratios["step_cpu"]) <= GOALS["step"]
    print(f"8 at once: {ratios['at_once']:.2f} times the images/s (goal {GOALS['at_once']}); a step takes ", end="")
    print(
        f"{ratios['step']:.2f} of the trunk's time, in CPU time {ratios['step_cpu']:.2f} of the trunk's on one ", end=""
    )
    print(f"thread (goal {GOALS['step']}): {'reached' if good else 'MISSED'}")
    print(f"pictures differ from those made alone by at most {found['largest_difference']:.1f} of 255\n")


def edges(options: argparse.Namespace) -> dict[str, Any]:
    images, every, judge = photos(options.photos, 7), styles(3), NeuralStyle()
    print(f"{'':<20}{'edge, least':>12}{'median':>8}{'>= 0.95':>9}{'colours left':>14}{'Gram left':>11}")
    found = {}
    for name in ("colour.mkl", "photoreal", "photoreal.matting"):
        stylizer, rows = create("stylizers", name), []
        for style in every.values():
            made = stylizer.apply(images, stylizer.encode(style))
            left = measured(judge, images, made, judge.encode(style))["style_level"]
            for before, after, gram in zip(images, made, left, strict=True):
                colours = sliced_wasserstein(after, style[0]) / sliced_wasserstein(before, style[0])
                rows.append((edge_correlation(before, after), colours, float(gram)))
        edge, colours, gram = np.array(rows).T
        kept = int((edge >= GOALS["edge"]).sum())
        found[name] = {"least_edge": edge.min(), "median_edge": np.median(edge), "kept": kept, "pairs": len(rows)}
        found[name] |= {"colours_left": np.median(colours), "gram_left": np.median(gram)}
        row = f"{edge.min():>12.3f}{np.median(edge):>8.3f}{kept:>5}/{len(rows)}"
        print(f"{name:<20}{row}{np.median(colours):>14.2f}{np.median(gram):>11.2f}")
    print("left: of the sliced Wasserstein distance of colours, and of neural_style's style loss, medians\n")
    return {name: {k: float(v) for k, v in row.items()} for name, row in found.items()}


def measured(stylizer: NeuralStyle, before: Images, after: Images, code: StyleCode) -> dict[str, np.ndarray]:
    """(n,) the relative content loss of finished pictures, and the share of the style loss that is left."""
    grams = {k: torch.from_numpy(a) for k, a in code.arrays.items()}
    with torch.no_grad():
        target = stylizer.perception.targets(as_tensor(before))
        first, last = (stylizer.perception.parts(as_tensor(p), target, grams) for p in (before, after))
    return {"content_level": last["content"].numpy(), "style_level": (last["style"] / first["style"]).numpy()}


def levels(options: argparse.Namespace) -> dict[str, Any]:
    images, every, judge = photos(options.photos, 7), styles(2), NeuralStyle()

    def all_levels(stylizer: NeuralStyle) -> dict[str, np.ndarray]:
        codes = [stylizer.encode(style) for style in every.values()]
        rows = [measured(judge, images, stylizer.apply(images, code), code) for code in codes]
        return {name: np.concatenate([row[name] for row in rows]) for name in LEVELS}

    fixed = [all_levels(NeuralStyle(optimiser="adam", steps=100, style_weight=w, **GENTLE)) for w in GRID]
    found: dict[str, Any] = {}
    for name, level in LEVELS.items():
        own = all_levels(AdaptiveStyle(**{name: level}))[name]  # type: ignore[arg-type]
        best = max(range(len(GRID)), key=lambda i: hits(fixed[i][name], level))
        found[name] = {"asked": level, "photos": len(own), "adaptive": hits(own, level), "range": span(own)}
        found[name] |= {"fixed": hits(fixed[best][name], level), "fixed_weight": GRID[best]}
        found[name]["fixed_range"] = span(fixed[best][name])
        print("{0} {asked}: adaptive {adaptive}/{photos}, ends {range}; ".format(name, **found[name]), end="")
        print("fixed {fixed}/{photos} with style_weight {fixed_weight}, ends {fixed_range}".format(**found[name]))
    return found


def hits(values: np.ndarray, level: float) -> int:
    return int((np.abs(values / level - 1) <= GOALS["level"]).sum())


def span(values: np.ndarray) -> list[float]:
    return [round(float(values.min()), 3), round(float(values.max()), 3)]


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"speed": speed, "edges": edges, "levels": levels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--backbone", default="efficientnet-lite0", help="whose speed is taken")
    parser.add_argument("--weights", default="", help="its file; for speed any will do")
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} does not exist; set STYLEREC_DATA to the folder with hm_fashion and style_refs")
    for name in options.part or PARTS:
        load = os.getloadavg()[0]
        found = PARTS[name](options)
        tail = "" if options.backbone == "efficientnet-lite0" else f"_{options.backbone}"
        write_json(
            HERE / "results" / f"style_neural_{name}{tail}.json", found | {"load": load, "photos": options.photos}
        )
        if load > 0.5:
            print(f"the machine was busy (load {load:.1f}) when {name} began: trust CPU times, not images/s")


if __name__ == "__main__":
    main()
