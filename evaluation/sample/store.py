"""The sample store on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from evaluation.sample.clicks import ClickModel
from evaluation.sample.draw import draw_item
from evaluation.sample.palettes import STYLES
from evaluation.sample.people import AWKWARD, make_items, make_users
from evaluation.sample.sessions import Log, simulate_log
from recsys.errors import ConfigError, DataError
from recsys.files import read_json, write_bytes, write_json
from recsys.progress import progress

EDITION = 3
"""Changes whenever the same seed would give another store."""
MARK = ".sample-store.json"
SHOP = ["item_id", "title", "category", "price", "image", "launched"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is really so in the sample store.

    Attributes:
        items: As `make_items` gives them: items.csv, main_style, a share per style, appeal, traffic.
        users: As `make_users` gives them: one taste per style, one liking per category.
        clicks: The click model that made the log.
        bad_rows: Deliberately bad rows of interactions.csv: row (0-based), field, value, why.
        bad_images: Image file name -> what is wrong with it ("truncated" cannot be used, "cmyk" can).
    """

    items: pd.DataFrame
    users: pd.DataFrame
    clicks: ClickModel
    bad_rows: tuple[Mapping[str, Any], ...]
    bad_images: Mapping[str, str]

    @property
    def styles(self) -> npt.NDArray[np.float64]:
        """(n_items, n_styles) true style shares."""
        return np.asarray(self.items[list(STYLES)].to_numpy())


def write_store(folder: Path | str, *, items: int = 240, users: int = 500, seed: int = 7) -> Truth:
    """Draw and simulate a sample store: items.csv, interactions.csv, impressions.csv, images/ and truth.json.

    Same arguments, same bytes. A store that is already there and whole is left untouched; one made with other
    arguments is replaced; a folder that holds anything else is refused.

    Args:
        folder: Empty, absent, or an earlier sample store.
        items: Products, >= 20.
        users: Customers, >= 2.
        seed: Of everything random.

    Returns:
        The truth behind it, also in truth.json.

    Raises:
        ConfigError: Too few items or users.
        DataError: The folder holds files that are not a sample store's.
    """
    if items < 20 or users < 2:
        raise ConfigError(f"a sample store needs at least 20 items and 2 users, got {items} and {users}")
    folder = Path(folder)
    recipe = {"edition": EDITION, "items": items, "users": users, "seed": seed}
    old = _take(folder)
    truth, log = _make(items, users, seed)
    names = [f"images/{name}" for name in truth.items["image"]]
    write_json(folder / MARK, {"about": "a stylerec sample store; safe to delete", "recipe": recipe, "images": names})
    for name in set(old.get("images", [])) - set(names):
        (folder / name).unlink(missing_ok=True)
    done = _finished(folder, recipe)
    hashes = {
        "items.csv": _put(folder / "items.csv", _csv(truth.items[SHOP])),
        "interactions.csv": _put(folder / "interactions.csv", _csv(_with_bad_rows(log.interactions, truth))),
        "impressions.csv": _put(folder / "impressions.csv", _csv(log.impressions)),
        **_put_images(folder, truth, seed, done),
    }
    _put_truth(folder / "truth.json", truth, recipe, hashes)
    return truth


def _make(items: int, users: int, seed: int) -> tuple[Truth, Log]:
    clicks = ClickModel()
    shop, people, visits, flaws = (np.random.default_rng([seed, k]) for k in range(4))
    catalogue, customers = make_items(items, clicks, shop), make_users(users, clicks, people)
    log = simulate_log(catalogue, customers, clicks, visits)
    broken, cmyk = catalogue["image"].to_numpy()[flaws.choice(np.arange(len(AWKWARD), items), 2, replace=False)]
    rows = _bad_rows(len(log.interactions), flaws)
    return Truth(catalogue, customers, clicks, rows, {broken: "truncated", cmyk: "cmyk"}), log


def _bad_rows(n: int, rng: np.random.Generator) -> tuple[Mapping[str, Any], ...]:
    flaws = (
        ("item_id", "999999-gone", "unknown item"),
        ("item_id", "../../etc/passwd", "unknown item"),
        ("timestamp", "yesterday", "unparsable date"),
        ("timestamp", "2024-02-30T12:00:00", "unparsable date"),
        ("weight", "-1", "negative weight"),
        ("user_id", "", "empty user"),
    )
    places = np.sort(rng.choice(n + len(flaws), len(flaws), replace=False)).tolist()
    return tuple(
        {"row": int(row), "field": field, "value": value, "why": why}
        for row, (field, value, why) in zip(places, flaws, strict=True)
    )


def _with_bad_rows(interactions: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """The log with bad rows added (none replaced) at the places the truth names."""
    n = len(interactions) + len(truth.bad_rows)
    places = [flaw["row"] for flaw in truth.bad_rows]
    source = np.zeros(n, np.int64)
    source[np.setdiff1d(np.arange(n), places)] = np.arange(len(interactions))
    frame = _dated(interactions).astype(object).iloc[source].reset_index(drop=True)
    for flaw in truth.bad_rows:
        frame.loc[flaw["row"], flaw["field"]] = flaw["value"]
    return frame


def _put_images(folder: Path, truth: Truth, seed: int, done: Mapping[str, str]) -> dict[str, str]:
    hashes = {}
    with progress("draw", total=len(truth.items)) as advance:
        for k, (name, category) in enumerate(zip(truth.items["image"], truth.items["category"], strict=True)):
            key = f"images/{name}"
            if key in done:
                hashes[key] = done[key]
            else:
                pixels = draw_item(category, _visible(truth.styles[k]), seed=[seed, 9, k])
                hashes[key] = _put(folder / key, _jpeg(pixels, truth.bad_images.get(name)))
            advance()
    return hashes


def _visible(mixture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Traits follow the main style more often than in proportion, so that few products mix two styles."""
    return np.asarray(mixture**1.5 / (mixture**1.5).sum())


def _jpeg(pixels: npt.NDArray[np.uint8], flaw: str | None) -> bytes:
    image = Image.fromarray(pixels)
    if flaw == "cmyk":
        image = image.convert("CMYK")
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=92, subsampling=0)
    data = file.getvalue()
    return data[: len(data) * 2 // 5] if flaw == "truncated" else data


def _csv(frame: pd.DataFrame) -> bytes:
    return _dated(frame).to_csv(index=False, lineterminator="\n", float_format="%.8g").encode()


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """Times as text: days as dates, moments in ISO 8601."""
    formats = {"launched": "%Y-%m-%d", "timestamp": "%Y-%m-%dT%H:%M:%S"}
    texts = {c: frame[c].dt.strftime(form) for c, form in formats.items() if c in frame and frame[c].dtype.kind == "M"}
    return frame.assign(**texts)


def _put(path: Path, data: bytes) -> str:
    """Write unless the file already says so (its time then stays); answers the hash."""
    if not (path.is_file() and path.read_bytes() == data):
        write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _put_truth(path: Path, truth: Truth, recipe: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
    value = {
        "recipe": recipe,
        "styles": STYLES,
        "clicks": asdict(truth.clicks),
        "bad_rows": truth.bad_rows,
        "bad_images": truth.bad_images,
        "items": _dated(truth.items).to_dict("list"),
        "users": truth.users.to_dict("list"),
        "files": hashes,
    }
    write_json(path, value)


def _take(folder: Path) -> dict[str, Any]:
    """The mark of the store that is there; empty for a new folder."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder for the sample store")
    if (folder / MARK).is_file():
        mark = read_json(folder / MARK)
        return mark if isinstance(mark, dict) else {}
    strange = sorted(p.name for p in folder.iterdir())
    if strange:
        raise DataError(
            f"{folder} holds {strange[0]!r} and is no sample store; name an empty folder, nothing was changed"
        )
    return {}


def _finished(folder: Path, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Images of an earlier run with the same recipe that are still what they were: name -> hash."""
    if not (folder / "truth.json").is_file():
        return {}
    old = read_json(folder / "truth.json")
    if old.get("recipe") != recipe:
        return {}
    return {
        name: digest
        for name, digest in old["files"].items()
        if name.startswith("images/") and (folder / name).is_file()
        and hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    }  # fmt: skip
