"""From segments to Parquet: what `stylerec analyze`, `stylerec ope` and `partial_fit` read."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import DataError
from recsys.files import atomic_write, write_bytes
from shop.event_log import live_segment, read_segment, segments
from shop.events import KINDS
from shop.plan import PLAN

TEXT = ("event", "user_id", "item_id", "presentation", "page_id", "event_id", "arm", "experiment")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXT]
    + [("position", pa.int64()), ("propensity", pa.float64()), ("timestamp", pa.timestamp("us"))]
)
TORN = b"torn"
OUTCOMES = ("click", "cart", "purchase")


@dataclass(frozen=True)
class Tables:
    """What `write_tables` wrote.

    Attributes:
        events: Rows of ``events.parquet``.
        impressions: Rows of ``impressions.parquet``.
        repeated: Events left out because one with their event_id was there before.
        torn: Lines of segments that were not whole; none of them was acknowledged, or they were damaged since.
        unmatched: Clicks, carts and purchases without an impression before them; in ``events.parquet`` only.
        experiment: Whose arms the tables hold; "" where no test ran.
    """

    events: int
    impressions: int
    repeated: int
    torn: int
    unmatched: int
    experiment: str


def compact(folder: Path) -> int:
    """Turn every segment that is written no more into a Parquet file of the same number; how many were turned.

    The Parquet is on disk before its segment goes; cut off in between, the next call takes the segment away.
    """
    done = 0
    with _alone(folder):
        live = live_segment(folder)
        for path in segments(folder):
            if path == live:
                continue
            target = path.with_suffix(".parquet")
            if not target.exists():
                found = read_segment(path)
                with atomic_write(target) as file:
                    pq.write_table(_table(found.records).replace_schema_metadata({TORN: str(found.torn)}), file)
                done += 1
            path.unlink()
    return done


def read_events(folder: Path) -> tuple[pd.DataFrame, int, int]:
    """Every event in the order it was taken in, how many repeats were left out, and how many lines were torn.

    Columns are those of `SCHEMA`; times are UTC without a zone.
    """
    parts, torn = [], 0
    with _alone(folder):
        compacted = sorted(p for p in folder.glob("*.parquet") if p.stem.isdigit())
        for path in compacted:
            table = pq.read_table(path)
            torn += int((table.schema.metadata or {}).get(TORN, b"0"))
            parts.append(table.replace_schema_metadata(None).cast(SCHEMA))
        live = live_segment(folder)
        for path in segments(folder):
            if path.with_suffix(".parquet") not in compacted:
                found = read_segment(path, live=path == live)
                torn += found.torn
                parts.append(_table(found.records))
    frame = pa.concat_tables([SCHEMA.empty_table(), *parts]).to_pandas()
    again = frame["event_id"].notna() & frame["event_id"].duplicated()
    return frame[~again].reset_index(drop=True), int(again.sum()), torn


def write_tables(folder: Path, out: Path, *, experiment: str | None = None) -> Tables:
    """Write ``events.parquet``, ``impressions.parquet`` and ``plan.toml`` into ``out``.

    ``events.parquet`` has one row an event and a column of 0 and 1 for each kind; exposures are rows, too, so that a
    customer who saw a page and reported nothing counts. ``impressions.parquet`` has one row an impression and in
    click, cart and purchase whether that followed.

    Args:
        folder: Of the event log.
        out: Made where it is missing.
        experiment: Whose arms to write; None: the latest.

    Raises:
        DataError: No event was stored, or there was no such experiment.
    """
    frame, repeated, torn = read_events(folder)
    if frame.empty:
        raise DataError(f"{folder} holds no events yet; open the shop window and click")
    ran = list(dict.fromkeys(frame["experiment"].dropna()))
    chosen = (ran[-1] if ran else "") if experiment is None else experiment
    if chosen and chosen not in ran:
        raise DataError(f"no event belongs to the experiment {chosen!r}; there were {', '.join(ran) or 'none'}")
    frame["arm"] = frame["arm"].where(frame["experiment"] == chosen)
    for kind in KINDS:
        frame[kind] = (frame["event"] == kind).astype(np.int8)
    shown, unmatched = impressions_of(frame)
    for name, table in (("events", frame), ("impressions", shown)):
        with atomic_write(out / f"{name}.parquet") as file:
            table.to_parquet(file, index=False)
    write_bytes(out / "plan.toml", PLAN.encode())
    return Tables(len(frame), len(shown), repeated, torn, unmatched, chosen)


def impressions_of(events: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row an impression with its outcomes, and how many outcomes have no impression.

    An outcome belongs to the latest impression of the same item before it: on its own page where it names one, else
    of the same customer.
    """
    columns = [c for c in events.columns if c not in KINDS and c != "event"]
    order = events.sort_values("timestamp", kind="stable")
    shown = order.loc[order["event"] == "impression", columns].reset_index(drop=True)
    shown["row"] = np.arange(len(shown))
    hits = {kind: np.zeros(len(shown), np.int8) for kind in OUTCOMES}
    done = order[order["event"].isin(OUTCOMES)]
    lost = 0
    for has_page, keys in ((True, ["user_id", "item_id", "page_id"]), (False, ["user_id", "item_id"])):
        part = done.loc[done["page_id"].notna() == has_page, ["event", "timestamp", *keys]]
        right = shown[shown["page_id"].notna()] if has_page else shown
        joined = pd.merge_asof(part, right[["timestamp", "row", *keys]], on="timestamp", by=keys)
        lost += int(joined["row"].isna().sum())
        found = joined.dropna(subset="row")
        for kind, rows in found.groupby("event")["row"]:
            hits[str(kind)][rows.to_numpy(np.int64)] = 1
    return shown.drop(columns="row").assign(**hits), lost


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody takes segments away while another reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".compaction").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _table(records: Iterable[bytes]) -> pa.Table:
    rows: list[dict[str, Any]] = [json.loads(record) for record in records]
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in SCHEMA.names if name != "timestamp"}
    moments = pd.to_datetime(pd.Series([row["timestamp"] for row in rows], dtype=object), utc=True, format="ISO8601")
    columns["timestamp"] = pa.array(moments.dt.tz_convert(None), pa.timestamp("us"))
    return pa.table(columns, schema=SCHEMA)
