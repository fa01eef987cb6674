"""How an item is shown: its original photo, or the photo in a look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from recsys.errors import ArtifactError, DataError
from recsys.files import atomic_write


@dataclass(frozen=True)
class Presentation:
    """One item in one look, with the guard's judgement.

    Attributes:
        item_id: The item.
        look: ``original`` or a look's name.
        image: Path of the picture relative to the study folder; "" when there is none.
        scores: What the guard measured (ssim, edge, cosine, product_delta_e, …).
        accepted: Whether it may be shown.
        reason: Why not; "" when accepted.
    """

    item_id: str
    look: str
    image: str = ""
    scores: Mapping[str, float] | None = None
    accepted: bool = True
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Presentations:
    """All presentations of a catalogue, one row an (item, look).

    ``frame`` has the columns item_id, look, image, accepted, reason, and ``score_<name>`` per guard score; of a made
    catalogue also ``strength``, how much of the look was taken.
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        missing = {"item_id", "look", "image", "accepted", "reason"} - set(self.frame.columns)
        if missing:
            raise DataError(f"presentations miss the columns {sorted(missing)}")

    @classmethod
    def of(cls, rows: Iterable[Presentation]) -> Presentations:
        """From single presentations.

        Example:
            >>> made = Presentations.of([Presentation("a", "retro", scores={"ssim": 0.9})])
            >>> made.frame["score_ssim"].item()
            0.9
        """
        records: list[dict[str, Any]] = []
        for row in rows:
            record: dict[str, Any] = {"item_id": row.item_id, "look": row.look, "image": row.image}
            record |= {"accepted": row.accepted, "reason": row.reason}
            records.append(record | {f"score_{k}": v for k, v in (row.scores or {}).items()})
        columns = ["item_id", "look", "image", "accepted", "reason"]
        frame = pd.DataFrame(records, columns=None if records else columns)
        return cls(frame.astype({"item_id": object, "look": object, "accepted": bool}))

    @property
    def looks(self) -> tuple[str, ...]:
        """Look names in order of appearance."""
        return tuple(self.frame["look"].unique())

    def accepted(self, look: str) -> pd.Series:
        """item_id → whether ``look`` may be shown."""
        rows = self.frame[self.frame["look"] == look]
        return rows.set_index("item_id")["accepted"]

    def save(self, path: Path) -> None:
        """Write Parquet, atomically."""
        with atomic_write(path) as file:
            self.frame.to_parquet(file, index=False)

    @classmethod
    def load(cls, path: Path) -> Presentations:
        """Read Parquet.

        Raises:
            ArtifactError: Missing or damaged.
        """
        try:
            return cls(pd.read_parquet(path))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(f"{path} cannot be read ({error}); make it again") from error
