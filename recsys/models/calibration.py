"""Where items nobody has chosen yet stand among the others, so that lists hold as many of them as will be chosen."""

from __future__ import annotations

import numpy as np

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError, DataError
from recsys.models.validation import MAX_USERS, K, Lister

DAY = np.timedelta64(1, "D")


def expected_cold_share(dataset: Dataset, horizon_days: float = 0.0, *, recent: float = 0.2) -> float:
    """How many of the choices of the coming days will be of items that nobody has chosen so far.

    A choice that comes d days from now is of such an item when the item was first chosen less than d days before it.
    So the share of young choices among past ones, averaged over the lags up to the horizon, is the answer: it
    grows with the horizon, and no model has to be fitted on a part of the past to find it.

    Args:
        dataset: With timestamps; of several choices of an item by one user the first counts.
        horizon_days: How long lists will be shown before the next training; 0: as long as the ``recent`` choices took.
        recent: The latest share of the choices, which is looked at, in (0, 1].

    Returns:
        0..1; 0 where everything was chosen before the recent choices.

    Raises:
        ConfigError: ``horizon_days`` or ``recent`` is out of range.
        DataError: A timestamp is missing, or no interaction has a positive weight.
    """
    if not 0 <= horizon_days < np.inf or not 0 < recent <= 1:
        raise ConfigError(f"horizon_days must be >= 0 and recent in (0, 1], got {horizon_days} and {recent}")
    if np.isnat(dataset.timestamp).any():
        raise DataError("cold items are placed by the ages of items when chosen, some choices have no timestamp")
    useful = np.flatnonzero(dataset.weight > 0)
    if not len(useful):
        raise DataError("no interaction has a positive weight; there is nothing to learn from")
    when = (dataset.timestamp - dataset.timestamp[useful].min()) / DAY
    order = useful[np.argsort(when[useful], kind="stable")]
    pair = dataset.user_idx[order].astype(np.int64) * len(dataset.items) + dataset.item_idx[order]
    order = order[np.sort(np.unique(pair, return_index=True)[1])]
    first = np.full(len(dataset.items), np.inf)
    np.minimum.at(first, dataset.item_idx[order], when[order])
    late = order[int(len(order) * (1 - recent)) :]
    horizon = horizon_days or max(when[late[-1]] - when[late[0]], 1.0)
    lags = (np.arange(100) + 0.5) / 100 * horizon
    ages, known_for = np.sort(when[late] - first[dataset.item_idx[late]]), when[late].max()
    # of lags that reach before the log nothing is known: the longest known one stands for them
    return float(np.mean(np.searchsorted(ages, np.minimum(lags, known_for)) / len(ages)))


def cold_offset(fitted: Lister, dataset: Dataset, share: float) -> float:
    """What to add to every cold item's score, so that this share of the lists is cold items.

    Within the warm and within the cold items nothing changes order: each cold item of a list has one warm rival
    that it must beat, and the offset is the quantile of what they lack.

    Args:
        fitted: A model whose cold items have no offset yet; its users with a past are looked at.
        dataset: What it was fitted on.
        share: Wanted, 0..1.
    """
    users, warm = np.flatnonzero(np.diff(dataset.matrix.indptr) > 0), dataset.is_warm
    users = users[np.unique(np.linspace(0, len(users) - 1, min(len(users), MAX_USERS)).astype(np.int64))]
    (_, hot), (_, cold) = (fitted.top_items(users, k=K, allowed=mask) for mask in (warm, ~warm))
    # The j-th cold item enters a list of K when it beats the (K + 1 - j)-th warm one.
    with np.errstate(invalid="ignore"):
        entry = (hot[:, ::-1] - cold).ravel()
    entry = np.sort(entry[~np.isnan(entry)])
    open_to_both = np.isfinite(entry)  # the others enter, or stay out, whatever the offset
    if not open_to_both.any():
        return 0.0
    first, last = np.flatnonzero(open_to_both)[[0, -1]]
    return float(entry[min(max(round(share * len(entry)) - 1, first), last)])
