"""colour.mkl from JPEG to JPEG on one core, against a Lab statistics transfer with scikit-image and the same I/O.

    python benchmarks/colour.py [--photos 40] [--side 512] [--rounds 5]

The peer is what people write with scikit-image: rgb2lab, mean and deviation of each axis moved to the style's, lab2rgb.
Both decode and encode with the same functions. Contenders take turns; figures are medians of CPU time over rounds, one
thread. The result is checked first: the table's pixels against the map itself, colour by colour (PSNR).
Photos and the style come from the folder STYLEREC_DATA names; photos are enlarged to the side.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from turns import take_turns

from recsys.files import write_json
from recsys.models.crew import one_thread
from style.base import Images
from style.images import decode, encode_jpeg
from style.imagestore import ImageStore
from style.stylizers.colour import MklColour

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
GOALS = {"images_per_second": 80.0, "ratio": 6.0}


def photos(count: int, side: int) -> list[bytes]:
    """JPEG files, evenly spaced in the archive."""
    with ImageStore.open(DATA / "fashion_products" / "images.zip") as store:
        names = sorted(store.names())
        chosen = [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]
        pictures = [Image.fromarray(decode(store.read(name)).pixels) for name in chosen]
    return [encode_jpeg(np.asarray(p.resize((side, side), Image.Resampling.LANCZOS)), 90) for p in pictures]


def statistics_transfer(image: Images, mean: np.ndarray, spread: np.ndarray) -> Images:
    """The peer; it warns of each colour outside of the gamut, which we do not print."""
    lab = rgb2lab(image)
    own = lab.reshape(-1, 3)
    moved = (lab - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-6) * spread + mean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = lab2rgb(moved)
    return np.asarray((np.clip(made, 0, 1) * 255 + 0.5).astype(np.uint8))


def agreement(stylizer: MklColour, files: list[bytes], style: Images) -> float:
    """PSNR in dB of the table's pictures against the map applied to every pixel."""
    code = stylizer.encode(style)
    target = {name: array.astype(np.float64) for name, array in code.arrays.items()}
    errors = []
    for file in files:
        image = decode(file).pixels
        own = stylizer.describe(points := stylizer.sample(image))
        every = rgb2lab(image).reshape(-1, 3).T
        exact = stylizer.to_rgb(stylizer.move(every, points, own, target)).T.reshape(image.shape)
        errors.append(((stylizer.apply(image[None], code)[0] - exact) ** 2).mean())
    return float(10 * np.log10(255**2 / np.mean(errors)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = photos(options.photos, options.side)
    style = decode((DATA / "style_refs" / "pd" / "starry_night.jpg").read_bytes()).pixels[None]
    stylizer = MklColour()
    psnr = agreement(stylizer, files, style)
    code, points = stylizer.encode(style), rgb2lab(style[0]).reshape(-1, 3)
    mean, spread = points.mean(axis=0), points.std(axis=0)
    contenders = {
        "colour.mkl": lambda: [encode_jpeg(stylizer.apply(decode(f).pixels[None], code)[0], 90) for f in files],
        "scikit-image": lambda: [encode_jpeg(statistics_transfer(decode(f).pixels, mean, spread), 90) for f in files],
        "decode and encode alone": lambda: [encode_jpeg(decode(f).pixels, 90) for f in files],
    }
    with one_thread():
        took = take_turns(contenders, options.rounds)
    rates = {name: len(files) / times["cpu_s"] for name, times in took.items()}
    ratio = rates["colour.mkl"] / rates["scikit-image"]
    print(f"{'':<26}{'images/s of one core':>22}")
    for name, rate in rates.items():
        print(f"{name:<26}{rate:>22.1f}")
    fast, faster = rates["colour.mkl"] >= GOALS["images_per_second"], ratio >= GOALS["ratio"]
    print(f"pixels against the map itself: PSNR {psnr:.1f} dB")
    print(f"colour.mkl: goal {GOALS['images_per_second']:.0f} images/s: {'reached' if fast else 'MISSED'}")
    print(f"{ratio:.1f} times the peer (goal {GOALS['ratio']:.0f}: {'reached' if faster else 'MISSED'})")
    found = {"images_per_second": rates, "ratio": ratio, "psnr_db": psnr, "seconds": took, **vars(options)}
    write_json(HERE / "results" / "colour.json", found)


if __name__ == "__main__":
    main()
