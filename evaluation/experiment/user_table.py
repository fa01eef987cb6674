"""The rows that an analysis reads: numbers, the split, and what was known before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.experiment.plan import Plan
from evaluation.experiment.split import Split
from evaluation.experiment.values import Columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
SMALL = 50
"""Users of a stratum below which it is joined with the other small ones."""


@dataclass(frozen=True, eq=False)
class UserTable:
    """Rows with outcomes.

    Attributes:
        columns: Name → (n,).
        split: Arms and clusters.
        covariates: (n, m) known before the test, NaN where unknown; None: none are planned.
        strata: (n,) codes from 0; None: none are planned.
    """

    columns: Columns
    split: Split
    covariates: Floats | None = None
    strata: Ints | None = None

    @classmethod
    def of(cls, users: pd.DataFrame, columns: Columns, plan: Plan) -> UserTable:
        """From the rows of ``users`` and their numbers."""
        cluster = pd.factorize(users["cluster"])[0].astype(np.int64) if plan.clustered else None
        known = [users[c].to_numpy(np.float64, na_value=np.nan) for c in plan.log.covariates]
        return cls(
            columns,
            Split(users["arm"].to_numpy(np.int64), cluster),
            np.column_stack(known) if known else None,
            None if plan.log.strata is None else strata(users[plan.log.strata]),
        )

    def among(self, which: Bools) -> UserTable:
        """Some of the rows."""
        return UserTable(
            {name: values[which] for name, values in self.columns.items()},
            self.split.among(which),
            None if self.covariates is None else self.covariates[which],
            None if self.strata is None else self.strata[which],
        )

    def features(self) -> Floats:
        """(n, ·) every covariate and past figure; unknown ones are the mean, and a column says where."""
        past = [values for name, values in self.columns.items() if name.startswith("pre_")]
        known = [*([] if self.covariates is None else self.covariates.T), *past]
        filled = [np.where(np.isfinite(x), x, x[np.isfinite(x)].mean() if np.isfinite(x).any() else 0.0) for x in known]
        holes = [(~np.isfinite(x)).astype(np.float64) for x in known if not np.isfinite(x).all()]
        return np.column_stack([*filled, *holes])


def strata(labels: pd.Series) -> Ints:
    """(n,) codes from 0 by label; missing ones are a stratum, and those of fewer than `SMALL` users are joined.

    Example:
        >>> int(strata(pd.Series(["fi"] * 60 + ["no", "se", None] + ["dk"] * 99)).max())  # fi and the few, dk
        1
    """
    code = pd.factorize(labels.astype(str).where(labels.notna(), ""))[0]
    size = np.bincount(code)
    code = np.where(size[code] < SMALL, len(size), code)
    found = np.unique(code, return_inverse=True)[1].astype(np.int64)
    last = np.bincount(found)
    if len(last) > 1 and last[-1] < SMALL:  # what was joined is small still: it goes to the next smallest
        found = np.where(found == len(last) - 1, int(np.argmin(last[:-1])), found)
    return found
