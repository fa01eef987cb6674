"""What of a study's data is usable and what is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.data.source import summarize_rejected
from study.config import read_study
from study.folder import StudyFolder
from study.run import Study
from study.show import table
from study.stages.ingest import examine, read_tables, rejected_images


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        usable: What → how many.
        left_out: What the study file's ``where`` leaves out, on purpose → how many.
        rejected: One row a (source, reason): count and an example.
        noted: Photos that are used after a conversion, by reason.
    """

    usable: dict[str, int]
    left_out: dict[str, int]
    rejected: list[dict[str, Any]]
    noted: list[dict[str, Any]]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was refused."""
        return not self.rejected

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"usable": self.usable, "left_out": self.left_out, "rejected": self.rejected, "noted": self.noted}

    def to_text(self) -> str:
        """As tables."""
        parts = ["usable:", table([{"what": k, "rows": v} for k, v in self.usable.items()])]
        if any(self.left_out.values()):
            parts += ["", "left out by choice:", table([{"what": k, "rows": v} for k, v in self.left_out.items()])]
        parts += ["", "not usable:", table(self.rejected) if self.rejected else "everything is usable"]
        parts += ["", "used after conversion:", table(self.noted)] if self.noted else []
        return "\n".join(parts)


def check_study(path: Path) -> Check:
    """Read everything a study file names, and write nothing.

    Raises:
        ConfigError: The study file is wrong.
        DataError: A source is missing or nothing in it is usable.
    """
    study = Study(read_study(path), StudyFolder(path.parent / "unwritten"), path.resolve().parent)
    catalog, interactions = read_tables(study)
    images = examine(study, catalog)
    rejected = pd.concat([catalog.rejected, interactions.rejected, rejected_images(images)], ignore_index=True)
    usable = {
        "catalogue items": len(catalog),
        "interactions": len(interactions.frame),
        "users": int(interactions.frame["user_id"].nunique()),
        "photos": int((images["status"] != "bad").sum()),
    }
    notes = images[images["status"] == "note"].groupby("reason")["item_id"].agg(["size", "first"]).reset_index()
    noted = [{"reason": r, "count": int(n), "example": e} for r, n, e in notes.itertuples(index=False)]
    left_out = {"catalogue items": catalog.n_filtered, "interactions": interactions.n_filtered}
    return Check(usable, left_out, summarize_rejected(rejected), noted)
