"""What a training step of adain and sanet costs beside its networks.

    python benchmarks/style_adain.py [--size 128] [--batch 4] [--rounds 9]

A step is timed whole: style pictures drawn, decoded and cropped, losses, gradients, the optimiser. Against it stands
the sum of its networks alone, forward and backward: the backbone looks at photos and styles, merge and decoder make
pictures of both halves, the backbone looks at what was made and passes gradients back. All take turns on one thread;
figures are medians of CPU time, since on a machine with other work elapsed time says little, and the ratio is the
median of the rounds' own ratios. Pictures come from the folder STYLEREC_DATA names; without it they are noise.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from turns import take_turns

from recsys.files import write_json
from style.images import encode_jpeg
from style.imagestore import ImageStore
from style.perception import as_tensor
from style.stylizers.adain import AdainConfig, AdainTask, SanetConfig
from style.stylizers.adain_networks import PIXELS
from style.training import Photos, TrainConfig

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
PHOTOS, STYLES = DATA / "fashion_products" / "images.zip", DATA / "style_refs" / "pd"
CONFIGS = {"adain": AdainConfig(device="cpu"), "sanet": SanetConfig(device="cpu")}
GOAL = 1.2


def pictures(path: Path, stack: ExitStack, *, held: int) -> Photos:
    if path.exists():
        store = stack.enter_context(ImageStore.open(path))
        return Photos(sorted(store.names())[:256], store.read, held=held)
    rng = np.random.default_rng(0)
    files = {f"{i}": encode_jpeg(rng.integers(0, 256, (300, 225, 3), dtype=np.uint8)) for i in range(24)}
    return Photos(list(files), files.__getitem__, held=held)


def networks_alone(task: AdainTask, photos: torch.Tensor) -> dict[str, Callable[[], None]]:
    """Each pass of a step by itself, on inputs prepared before."""
    network, n = task.network, len(photos)
    both = torch.cat([photos, photos.flip(0)]).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        seen = network.see(task.backbone, both)

    def look() -> None:
        with torch.no_grad():
            network.see(task.backbone, both)

    def make() -> None:
        made = network(seen[PIXELS], network.blend(seen, network.merge.describe(seen)))
        torch.autograd.grad(made.mean(), list(network.parameters()))

    def look_back() -> None:
        made = both[:n].clone(memory_format=torch.channels_last).requires_grad_()
        found = network.see(task.backbone, made)
        torch.autograd.grad(torch.stack([f.mean() for f in found.values()]).sum(), made)

    return {"backbone, forward": look, "merge and decoder": make, "backbone, both ways": look_back}


def measured(kind: str, photos: Photos, styles: Photos, options: argparse.Namespace) -> dict[str, float]:
    task = AdainTask(CONFIGS[kind], styles)
    config = TrainConfig(batch=options.batch, size=options.size)
    batch = as_tensor(photos.batch(0, config))
    alone = networks_alone(task, batch)
    rngs = iter(range(options.rounds + 2))

    def step() -> None:
        task.step(batch, torch.Generator().manual_seed(next(rngs)))

    timed = take_turns({"step": step, **alone}, options.rounds, warm=2)
    cpu_ms = {name: 1e3 * seconds["cpu_s"] for name, seconds in timed.items()}
    networks = sum(cpu_ms[name] for name in alone)
    return {**cpu_ms, "networks": networks, "ratio": cpu_ms["step"] / networks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    options, load = parser.parse_args(), os.getloadavg()[0]
    torch.set_num_threads(1)
    with ExitStack() as stack:
        photos, styles = pictures(PHOTOS, stack, held=8), pictures(STYLES, stack, held=0)
        found = {kind: measured(kind, photos, styles, options) for kind in CONFIGS}
    print(f"{'CPU ms':<24}" + "".join(f"{kind:>10}" for kind in found))
    for name in next(iter(found.values())):
        shape = "10.2f" if name == "ratio" else "10.1f"
        print(f"{name:<24}" + "".join(f"{row[name]:>{shape}}" for row in found.values()))
    verdict = "reached" if max(row["ratio"] for row in found.values()) <= GOAL else "MISSED"
    print(f"\na step is at most {GOAL} times its networks: {verdict}")
    print(f"{options.rounds} rounds, batch {options.batch}, {options.size} pixels, one thread, load {load:.1f}")
    write_json(HERE / "results" / "style_adain.json", {"kinds": found, "goal": GOAL, "load": load, **vars(options)})


if __name__ == "__main__":
    main()
