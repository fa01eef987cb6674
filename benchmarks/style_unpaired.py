"""What a training step of cyclegan and cut costs beside its networks alone: forward and backward, nothing else.

    python benchmarks/style_unpaired.py [--size 128] [--batch 1] [--rounds 9] [--networks thin] [--device cpu]

A step also draws, decodes and crops style pictures, computes losses, exchanges pictures with the pools, steps Adam and
averages weights. The networks alone see the same batches in the same calls, with the same gradients: of weights, and of
pictures where a step needs them. Both take turns in one run; figures are medians of rounds, ratios those of medians, in
CPU time too, which other work on the machine moves less. Style pictures come from the folder STYLEREC_DATA names;
without it, from noise of the same size.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from turns import take_turns

from recsys.files import write_json
from style.encoders.trunk import cores
from style.images import encode_jpeg
from style.imagestore import ImageStore
from style.stylizers.cut import CutConfig, CutTask
from style.stylizers.cyclegan import CycleGanConfig, CycleGanTask
from style.training import Photos

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
STYLES = DATA / "style_refs" / "pd"
GOAL = 1.2


def style_pictures() -> Photos:
    """Sixteen or more JPEG files in memory: a disk is not what is measured."""
    if STYLES.is_dir():
        with ImageStore.open(STYLES) as store:
            files = {name: store.read(name) for name in store.names() if name.endswith(".jpg")}
        files |= {f"again-{name}": data for name, data in files.items()}
    else:
        rng = np.random.default_rng(0)
        files = {str(i): encode_jpeg(rng.integers(0, 256, (400, 512, 3), dtype=np.uint8)) for i in range(30)}
    return Photos(sorted(files), lambda name: files[name], held=0)


def both_ways(
    forward: Callable[[Tensor], Tensor], images: Tensor, weights: Sequence[nn.Module] = (), *, pictures: bool = False
) -> None:
    """Forward, and backward to what is asked for."""
    images = images.detach().requires_grad_(pictures)
    wanted = [p for module in weights for p in module.parameters()] + [images] * pictures
    torch.autograd.grad(forward(images).sum(), wanted, allow_unused=True)


def cyclegan_networks(task: CycleGanTask, a: Tensor, b: Tensor) -> None:
    both = torch.cat([a, b])
    for generator, critic in ((task.there, task.critic_b), (task.back, task.critic_a)):
        both_ways(generator, both, [generator])
        both_ways(generator, a, [generator], pictures=True)  # the second half of a cycle
        both_ways(critic, a, pictures=True)
        both_ways(critic, both, [critic])


def places_of(task: CutTask, images: Tensor) -> list[Tensor]:
    """Of each layer that is compared."""
    with torch.no_grad():
        seen = task.generator.seen(images)
    sizes = [seen[tap].shape[2] * seen[tap].shape[3] for tap in task.generator.taps]
    return [torch.randperm(size)[: task.config.places].to(images.device) for size in sizes]


def cut_networks(task: CutTask, a: Tensor, b: Tensor, places: Sequence[Tensor]) -> None:
    both, generator = torch.cat([a, b]), task.generator

    def contrasted(images: Tensor) -> Tensor:
        seen = generator.seen(images)
        return torch.stack([x.sum() for x in task.heads([seen[tap] for tap in generator.taps], places)])

    both_ways(generator, both, [generator])
    both_ways(contrasted, both, [generator, task.heads], pictures=True)
    both_ways(task.critic, a, pictures=True)
    both_ways(task.critic, both, [task.critic])


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    how = {"size": options.networks, "device": options.device, "backbone": "random"}
    styles = style_pictures()
    cyclegan, cut = CycleGanTask(CycleGanConfig(**how), styles), CutTask(CutConfig(**how), styles)
    rng = torch.Generator().manual_seed(0)
    shape = (options.batch, 3, options.size, options.size)
    a, b = (
        torch.rand(shape, generator=rng).to(options.device).contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    )
    places = places_of(cut, a)
    timed = take_turns(
        {
            "cyclegan, a step": lambda: cyclegan.step(a, rng),
            "cyclegan, networks alone": lambda: cyclegan_networks(cyclegan, a, b),
            "cut, a step": lambda: cut.step(a, rng),
            "cut, networks alone": lambda: cut_networks(cut, a, b, places),
        },
        options.rounds,
        warm=2,
    )
    return {
        kind: {
            "step": timed[f"{kind}, a step"],
            "networks": timed[f"{kind}, networks alone"],
            **{
                f"{key}_ratio": timed[f"{kind}, a step"][f"{key}_s"] / timed[f"{kind}, networks alone"][f"{key}_s"]
                for key in ("wall", "cpu")
            },
        }
        for kind in ("cyclegan", "cut")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--networks", choices=("thin", "full"), default="thin")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    found = measured(options)
    print(f"{'':<12}{'step':>10}{'networks':>10}{'ratio':>8}{'CPU step':>10}{'CPU netw.':>10}{'ratio':>8}")
    for kind, row in found.items():
        step, alone = row["step"], row["networks"]
        print(f"{kind:<12}{step['wall_s']:>8.3f} s{alone['wall_s']:>8.3f} s{row['wall_ratio']:>8.2f}", end="")
        print(f"{step['cpu_s']:>8.3f} s{alone['cpu_s']:>8.3f} s{row['cpu_ratio']:>8.2f}", end="")
        print(f"  (goal {GOAL}: {'reached' if row['cpu_ratio'] <= GOAL else 'MISSED'})")
    print(f"{options.rounds} rounds, batch {options.batch} at {options.size} px, {options.networks}, {cores()} cores")
    if load > 0.5:
        print(f"the machine was busy (load {load:.1f}): trust CPU times")
    write_json(HERE / "results" / "style_unpaired.json", found | vars(options) | {"cores": cores(), "load": load})


if __name__ == "__main__":
    main()
