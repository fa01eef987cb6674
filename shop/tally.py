"""What the events say so far: how looks fare in each segment of customers, and how the running test stands."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.experiment.decision import Experiment, read_experiment
from evaluation.experiment.looking import any_time
from evaluation.experiment.plan import Plan
from evaluation.inference import Moments, welch
from shop.events import KINDS, Record

Floats = npt.NDArray[np.float64]
REMEMBERED = 100_000
"""Event ids by which a repeated event is known again."""
GROWTH = 1.15
"""By how much impressions grow between two points of the confidence sequence."""
ARMS = ("control", "treatment")


@dataclass(frozen=True)
class Point:
    """The confidence sequence at one moment: impressions so far, and the relative effect with its ends."""

    impressions: int
    users: int
    relative: float
    low: float
    high: float


@dataclass
class Tally:
    """Counts, kept as events come in.

    Attributes:
        experiment: Salt of the test that is counted; "" counts none.
        plan: How the test is read.
        shown: (segment, look) → impressions.
        clicked: (segment, look) → clicks.
        totals: Kind → events.
        points: The confidence sequence so far, a point each time impressions have grown by 15 %.
    """

    experiment: str
    plan: Plan
    shown: dict[tuple[str, str], int] = field(default_factory=dict)
    clicked: dict[tuple[str, str], int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    _users: dict[str, int] = field(default_factory=dict)
    _rows: list[list[int]] = field(default_factory=list)
    _sums: Floats = field(default_factory=lambda: np.zeros((2, 6)))
    _ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _mark: float = 50.0
    _lock: Lock = field(default_factory=Lock)

    def add(self, records: Iterable[Record], segments: Iterable[str]) -> None:
        """Count events; ``segments`` holds the segment of each one's customer."""
        with self._lock:
            for record, segment in zip(records, segments, strict=True):
                if record.event_id is None or not self._is_repeated(record.event_id):
                    self._add(record, segment)

    def _add(self, record: Record, segment: str) -> None:
        self.totals[record.event] = self.totals.get(record.event, 0) + 1
        if record.event in ("impression", "click"):
            counts = self.shown if record.event == "impression" else self.clicked
            key = (segment, record.presentation)
            counts[key] = counts.get(key, 0) + 1
        if record.arm in ARMS and record.experiment == self.experiment:
            self._count(record)

    def experiment_now(self) -> Experiment | None:
        """The test as it stands, by the rules of `evaluation.experiment`; None before any customer met it."""
        if not self._rows:
            return None
        with self._lock:
            frame = pd.DataFrame(np.array(self._rows), columns=["arm", *KINDS])
        return read_experiment(frame, self.plan, arms=ARMS)

    def totals_of(self, arm: int) -> tuple[int, int, int, int, int]:
        """Customers, impressions, clicks, carts and purchases of an arm."""
        with self._lock:
            rows = [row for row in self._rows if row[0] == arm]
        sums = np.array(rows, np.int64).reshape(-1, 5).sum(axis=0)
        return len(rows), int(sums[1]), int(sums[2]), int(sums[3]), int(sums[4])

    @property
    def now(self) -> Point | None:
        """The confidence sequence at this moment; None before it can be told."""
        moments = [_moments(sums) for sums in self._sums]
        if moments[0] is None or moments[1] is None:
            return None
        estimate = welch(moments[0], moments[1], alpha=self.plan.alpha)
        reading = any_time(estimate, self.plan)
        if estimate.relative is None or reading.low is None or reading.high is None:
            return None
        return Point(int(self._sums[:, 3].sum()), len(self._rows), estimate.relative, reading.low, reading.high)

    def _is_repeated(self, event_id: str) -> bool:
        if event_id in self._ids:
            return True
        self._ids[event_id] = None
        if len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return False

    def _count(self, record: Record) -> None:
        arm = ARMS.index(record.arm or "")
        index = self._users.setdefault(record.user_id, len(self._rows))
        if index == len(self._rows):
            self._rows.append([arm, 0, 0, 0, 0])
            self._sums[arm, 0] += 1
        row = self._rows[index]
        before = _products(row)
        if record.event in KINDS:
            row[1 + KINDS.index(record.event)] += 1
        self._sums[row[0], 1:] += _products(row) - before
        if self._sums[:, 3].sum() >= self._mark:
            self._mark = max(self._mark * GROWTH, self._mark + 1)
            if (point := self.now) is not None:
                self.points.append(point)


def _products(row: list[int]) -> Floats:
    """Clicks x and impressions y of a user as x, x², y, y², xy."""
    y, x = row[1], row[2]
    return np.array([x, x * x, y, y * y, x * y], np.float64)


def _moments(sums: Floats) -> Moments | None:
    """Of clicks / impressions: the linearised values' mean and variance (delta method), from sums over users."""
    n, x, xx, y, yy, xy = sums
    if n < 2 or y == 0:
        return None
    ratio = x / y
    squares = max(xx - 2 * ratio * xy + ratio**2 * yy, 0.0)
    return Moments(int(n), float(ratio), float(squares / (n - 1) * (n / y) ** 2))
