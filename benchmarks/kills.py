"""`kill -9` at random points of `stylerec style transfer`: what is lost, torn or made twice?

    python benchmarks/kills.py [--kills 20] [--photos 240] [--seed 0]

A catalogue is drawn and restyled once undisturbed (`colour.mkl`). Then the command is started again and again in
another folder and killed as soon as a random number of pictures lies there, plus up to 30 ms. After each
kill every picture must be, byte for byte, one of the undisturbed run; after the last run pictures and verdicts must be
the same altogether. What the journal knew may not be written again, and at most the batches in flight
(workers + 2, for batches are handed out ahead) may be written twice.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WORKERS, BATCH = 2, 4
LOOK = '[mkl]\nstylizer = "colour.mkl"\nimage = "style.png"\nregion = "all"\n'


@dataclass
class Found:
    """What a series of kills did.

    Attributes:
        kills: Processes that were killed before they had ended.
        at: Pictures on disk at each kill.
        torn: Pictures that were not the undisturbed run's, bytes compared, after any kill.
        lost: Pictures that were there at one kill and not at a later one, or are missing at the end.
        redone_known: Pictures in the journal that were written again.
        redone: Most pictures that one run wrote again; those in flight at the kill.
        same: Whether pictures and verdicts end as in the undisturbed run.
    """

    kills: int = 0
    at: list[int] = field(default_factory=list)
    torn: int = 0
    lost: int = 0
    redone_known: int = 0
    redone: int = 0
    same: bool = False


def draw(folder: Path, photos: int, seed: int) -> None:
    """Products of random colours on a light ground, a style picture and a file of looks."""
    rng = np.random.default_rng(seed)
    (folder / "photos").mkdir(parents=True)
    for i in range(photos):
        picture = np.full((192, 128, 3), 244.0)
        picture[40:150, 30:98] = rng.integers(20, 200, 3)
        picture += rng.normal(0, 2, picture.shape)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / "photos" / f"p{i:04}.jpg", quality=92)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(folder / "style.png")
    (folder / "looks.toml").write_text(LOOK)


def command(folder: Path, out: str) -> list[str]:
    """The command that is killed."""
    paths = [str(folder / "photos"), "--looks", str(folder / "looks.toml"), "--out", str(folder / out)]
    how = ["--workers", str(WORKERS), "--batch", str(BATCH)]
    return [sys.executable, str(ROOT / "cli.py"), "style", "transfer", *paths, *how]


def pictures(folder: Path) -> dict[str, tuple[int, int]]:
    """Whole pictures by name: inode and time, which change when one is written again."""
    if not folder.is_dir():
        return {}
    found = {p.name: p.stat() for p in folder.iterdir() if p.suffix == ".jpg" and not p.name.startswith(".")}
    return {name: (s.st_ino, s.st_mtime_ns) for name, s in found.items()}


def known(folder: Path) -> set[str]:
    """Pictures of which the journal has a whole line."""
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().split(b"\n")[1:-1] if journal.is_file() else []
    return {line.decode().split('"')[1] + ".jpg" for line in lines}


def kill_often(folder: Path, kills: int, seed: int) -> Found:
    """Restyle ``folder`` undisturbed into ``whole``, and with kills into ``killed``; compare."""
    rng, found = random.Random(seed), Found()
    subprocess.run(command(folder, "whole"), check=True, capture_output=True)
    good = {p.name: p.read_bytes() for p in (folder / "whole" / "images" / "mkl").glob("*.jpg")}
    made = folder / "killed" / "images" / "mkl"
    for target in sorted(rng.randrange(len(good) * 3 // 4) for _ in range(kills)):
        before, sure = pictures(made), known(made)
        _kill(command(folder, "killed"), made, target, rng.uniform(0, 0.03), found)
        _compare(before, sure, made, good, found)
    before, sure = pictures(made), known(made)
    subprocess.run(command(folder, "killed"), check=True, capture_output=True)
    _compare(before, sure, made, good, found)
    found.lost += len(good.keys() - pictures(made).keys())
    verdicts = [(folder / run / "presentations.parquet").read_bytes() for run in ("whole", "killed")]
    found.same = good == {p.name: p.read_bytes() for p in made.glob("*.jpg")} and verdicts[0] == verdicts[1]
    return found


def _kill(line: list[str], made: Path, target: int, pause: float, found: Found) -> None:
    """Start, wait until more than ``target`` pictures lie there and the journal was opened by this run, kill."""
    start = time.time_ns()
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            fresh = sum(t > start for _, t in pictures(made).values())
            if fresh and len(pictures(made)) > target:
                break
            time.sleep(0.001)
        time.sleep(pause)
        found.kills += process.poll() is None
        process.kill()
    found.at.append(len(pictures(made)))


def _compare(
    before: dict[str, tuple[int, int]], sure: set[str], made: Path, good: dict[str, bytes], found: Found
) -> None:
    after = pictures(made)
    again = {name for name in before if name in after and after[name] != before[name]}
    found.lost += len(before.keys() - after.keys())
    found.torn += sum((made / name).read_bytes() != good[name] for name in after)
    found.redone_known += len(again & sure)
    found.redone = max(found.redone, len(again))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--photos", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), args.photos, args.seed)
        found = kill_often(Path(folder), args.kills, args.seed)
    for name, value in asdict(found).items():
        print(f"{name:<14}{value}")
    bound = (WORKERS + 2) * BATCH
    clean = found.same and not (found.torn or found.lost or found.redone_known) and found.redone <= bound
    print(f"nothing lost or torn, at most {bound} made again: {'reached' if clean else 'MISSED'}")
    sys.exit(not clean)


if __name__ == "__main__":
    main()
