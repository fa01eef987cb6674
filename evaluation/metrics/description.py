"""What lists are like beyond accuracy: every measure of `BEYOND` at once, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from evaluation.metrics import catalogue, diversity
from evaluation.metrics.lists import Ints, Matrix, Values, check_k, check_lists, hit_matrix
from evaluation.metrics.measures import BEYOND, SHARES
from recsys.errors import ConfigError, DataError

BLOCK_CELLS = 2**22
"""Users × groups whose shares are held at once."""
COLUMNS = ("measure", "of", "k", "value", "denominator", "n_users", "n_without")


def describe_lists(
    items: Ints,
    history: sp.csr_array,
    *,
    spaces: Mapping[str, Matrix] | None = None,
    groups: Mapping[str, Matrix] | None = None,
    ks: Sequence[int] = (10,),
    relevant: tuple[Ints, Ints] | None = None,
) -> pd.DataFrame:
    """Reach, concentration, popularity, diversity, calibration and disparity of lists.

    Args:
        items: (n_users, K) item indices, best first, -1 past the end of a short list.
        history: (n_users, n_items) what the same users have, a weight above 0: `Dataset.matrix` of train.
        spaces: Name → (n_items, d) vectors in which distances are taken: a style embedding, the category one-hot.
        groups: Name → (n_items, n_groups) memberships >= 0 for calibration and disparity: one-hot style, seller, price
            band. The due of a group is its share of the catalogue.
        ks: List lengths.
        relevant: (user, item) rows and item indices of what came later, each pair once; needed for serendipity.

    Returns:
        One row a measure, space or group (``of``) and k: value, denominator, how many users it is a mean of, and how
        many have no value. Measures of all lists together count the lists that are not empty.

    Raises:
        ConfigError: A k below 1 or above the length of the lists.
        DataError: Shapes that do not belong together, or lists that no recommender may give.

    Example:
        >>> lists, past = np.array([[1, 2], [0, 2]]), sp.csr_array([[1, 0, 0], [0, 1, 0]])
        >>> frame = describe_lists(lists, past, spaces={"style": np.eye(3)}, ks=(2,))
        >>> frame[["measure", "of", "value"]].query("measure in ['coverage', 'intra_list_distance']").values.tolist()
        [['coverage', '', 1.0], ['intra_list_distance', 'style', 1.0]]
    """
    about = _About(history, spaces or {}, groups or {}, relevant)
    about.check(items, ks)
    rows = [(name, of, k, *_mean(value, items[:, :k])) for k in ks for name, of, value in about.measures(items[:, :k])]
    frame = pd.DataFrame(rows, columns=["measure", "of", "k", "value", "n_users", "n_without"])
    frame["denominator"] = [(SHARES | BEYOND)[name].denominator for name in frame["measure"]]
    return frame[list(COLUMNS)]


@dataclass(frozen=True, eq=False)
class _About:
    """What lists are held against; see `describe_lists`."""

    history: sp.csr_array
    spaces: Mapping[str, Matrix]
    groups: Mapping[str, Matrix]
    relevant: tuple[Ints, Ints] | None

    def check(self, items: Ints, ks: Sequence[int]) -> None:
        check_k(ks)
        n_users, n_items = self.history.shape
        if max(ks) > items.shape[1]:
            raise ConfigError(f"k must be <= {items.shape[1]}, the ranks of the lists, got {max(ks)}")
        if n_users != len(items):
            raise DataError(f"history must have {len(items)} rows, one a list, got {n_users}")
        for name, matrix in (*self.spaces.items(), *self.groups.items()):
            if matrix.shape[0] != n_items:
                raise DataError(f"{name} has {matrix.shape[0]} rows, history has {n_items} items; give one row an item")
        check_lists(items, n_items)

    def measures(self, items: Ints) -> Iterator[tuple[str, str, Values | float]]:
        """Measure, of what, and its value: of every user or of all lists together."""
        n_users, n_items = self.history.shape
        popularity, exposed = catalogue.popularity(self.history), catalogue.exposure(items, n_items)
        listed = catalogue.average_popularity(items, popularity)
        had = catalogue.history_popularity(self.history, popularity)
        yield "coverage", "", catalogue.coverage(items, n_items)
        yield "gini", "", catalogue.gini(exposed)
        yield "entropy", "", catalogue.entropy(exposed)
        yield "novelty", "", catalogue.novelty(items, popularity, n_users)
        yield "arp", "", listed
        yield "popularity_lift", "", catalogue.popularity_lift(listed, had)
        yield "personalisation", "", diversity.personalisation(items, n_items)
        for name, vectors in self.spaces.items():
            yield "intra_list_distance", name, diversity.intra_list_distance(items, vectors)
            yield "unexpectedness", name, diversity.unexpectedness(items, self.history, vectors)
            if self.relevant is not None:
                yield "serendipity", name, self._serendipity(items, *self.relevant, vectors)
        for name, membership in self.groups.items():
            yield "calibration", name, self._calibration(items, membership)
            due = catalogue.group_shares(np.ones(n_items), membership)
            yield "disparity", name, catalogue.disparity(catalogue.group_shares(exposed, membership), due)

    def _calibration(self, items: Ints, membership: Matrix) -> Values:
        found, step = np.empty(len(items)), max(1, BLOCK_CELLS // membership.shape[1])
        for start in range(0, len(items), step):  # shares are dense, and there may be many sellers
            part = slice(start, start + step)
            target = diversity.history_shares(self.history[part], membership)
            found[part] = diversity.calibration(target, diversity.list_shares(items[part], membership))
        return found

    def _serendipity(self, items: Ints, user: Ints, item: Ints, vectors: Matrix) -> Values:
        hits = hit_matrix(items, user, item, self.history.shape[1])
        n_relevant = np.bincount(user, minlength=len(items))
        return diversity.serendipity(items, hits, n_relevant, self.history, vectors)


def _mean(value: Values | float, items: Ints) -> tuple[float, int, int]:
    """Value, users it stands for, and users it does not."""
    if isinstance(value, float):
        n_lists = int((items >= 0).any(axis=1).sum())
        return value, n_lists, len(items) - n_lists
    n_known = int((~np.isnan(value)).sum())
    return float(np.nanmean(value)) if n_known else float("nan"), n_known, len(value) - n_known
