"""What a split leaves out, and what of it could give the answer away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import DataError

Mask = npt.NDArray[np.bool_]

BACKWARDS = (
    "{share:.0%} of the test rows are no later than the newest train row, so models learn from other customers' future "
    '(trends, sales, what comes into fashion); numbers are better than they will be. kind = "time" is free of that.'
)
OWN_FUTURE = (
    "{users} of {of} test users have train rows later than their first test row, so models also learn from their own "
    "future; such a split compares models on ratings, not on what comes next."
)


def usable(known: pd.DataFrame, held: pd.DataFrame, *, exclude_seen: bool) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Held-out rows that can judge a recommender, and how many cannot, each counted under the first reason.

    Args:
        known: What is known of the past: train, and what is folded in.
        held: Everything held out.
        exclude_seen: Leave out what the user already had.
    """
    keys = _pair_keys(pd.concat([known, held]))
    repeats = np.isin(keys[len(known) :], keys[: len(known)][np.asarray(known["weight"] > 0)])
    reasons = {
        "test_rows_of_zero_weight": np.asarray(held["weight"] <= 0),
        "test_rows_of_unknown_users": ~np.asarray(held["user_id"].isin(set(known["user_id"]))),
        "test_rows_repeating_train": repeats if exclude_seen else np.zeros(len(held), dtype=bool),
    }
    bad, dropped = np.zeros(len(held), dtype=bool), {}
    for name, rows in reasons.items():
        dropped[name] = int((rows & ~bad).sum())
        bad |= rows
    kept = held[~bad]
    return kept, {
        **dropped,
        "test_users_dropped": len(set(held["user_id"]) - set(kept["user_id"])),
        "test_items_dropped": len(set(held["item_id"]) - set(kept["item_id"])),
        "repeats_are_relevant": not exclude_seen,
    }


def refuse_empty(train: pd.DataFrame, held: pd.DataFrame, kept: pd.DataFrame, dropped: dict[str, Any]) -> None:
    """Refuse a split of which nothing can be learned or judged.

    Raises:
        DataError: A side is empty; the message says why.
    """
    rows = len(train) + len(held)
    cure = "choose another quantile, n or share, or bring more data"
    if train.empty or held.empty:
        side = "train" if train.empty else "test"
        raise DataError(f"the split leaves nothing in {side} of {rows} rows; {cure}")
    if kept.empty:
        why = ", ".join(f"{v} {k.removeprefix('test_rows_').replace('_', ' ')}" for k, v in dropped.items() if v)
        raise DataError(f"none of the {len(held)} test rows can judge a recommender ({why}); {cure}")


def sizes(train: pd.DataFrame, fold_in: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """Rows, users, items and dates of each side."""
    sides = {"train": train, "test": test} | ({} if fold_in.empty else {"fold_in": fold_in})
    found: dict[str, Any] = {}
    for name, side in sides.items():
        found |= {f"{name}_rows": len(side)}
        found |= {f"{name}_{kind}s": int(side[f"{kind}_id"].nunique()) for kind in ("user", "item")}
        found |= {f"{name}_first": _day(side["timestamp"].min()), f"{name}_last": _day(side["timestamp"].max())}
    return found


def leaks(train: pd.DataFrame, known: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """Time running backwards, in numbers and in words, and how much of the test train knows nothing of."""
    if test.empty:
        return {}
    cold = ~test["item_id"].isin(set(known["item_id"]))
    first = test.groupby("user_id")["timestamp"].min()
    last = known.groupby("user_id")["timestamp"].max().reindex(first.index)
    not_later = float((test["timestamp"] <= train["timestamp"].max()).mean())
    own = int((first < last).sum())
    return {
        "test_after_train": bool(test["timestamp"].min() > train["timestamp"].max()),
        "share_of_test_rows_not_after_train": not_later,
        "users_whose_test_starts_before_their_train_ends": own,
        "users_whose_test_starts_as_their_train_ends": int((first == last).sum()),
        "cold_share_of_test_rows": float(cold.mean()),
        "items_only_in_test": int(test.loc[cold, "item_id"].nunique()),
        "warnings": [
            *([BACKWARDS.format(share=not_later)] if not_later > 0 else []),
            *([OWN_FUTURE.format(users=own, of=len(first))] if own else []),
        ],
    }


@dataclass(frozen=True, eq=False)
class Fit:
    """Something learned beside the models: whitening, principal directions, words, weights.

    Attributes:
        what: For people: ``transform of block 'gram'``.
        items: (n_items,) whose features it saw; None where nobody says.
        last: Day of the latest choice it was told of; None where it was told of none.
    """

    what: str
    items: Mask | None
    last: str | None = None


VERDICTS = {
    "clean": "saw nothing of the test",
    "items": "saw features of items that are only in the test, and no choices",
    "choices": "was told of choices later than the end of train",
    "not stated": "does not say what it was fitted on",
}


def fit_leaks(fits: Iterable[Fit], only_later: Mask, train_last: str | None) -> list[dict[str, Any]]:
    """What each fit saw of the test: a row with what, items, items_only_in_test, last and a verdict of `VERDICTS`.

    Args:
        fits: What was fitted.
        only_later: (n_items,) items without a choice before the split.
        train_last: Day of the latest choice in train, ISO 8601; None without timestamps.

    Raises:
        DataError: A fit speaks of another number of items.

    Example:
        >>> seen = Fit("whitening", np.array([True, True, False]))
        >>> fit_leaks([seen], np.array([False, True, True]), None)[0]["verdict"]
        'items'
    """
    rows = []
    for fit in fits:
        if fit.items is not None and np.shape(fit.items) != np.shape(only_later):
            raise DataError(f"{fit.what} speaks of {np.size(fit.items)} items, there are {np.size(only_later)}")
        late = fit.last is not None and train_last is not None and fit.last > train_last
        n_later = None if fit.items is None else int((fit.items & only_later).sum())
        verdict = "choices" if late else "not stated" if n_later is None else "items" if n_later else "clean"
        n_items = None if fit.items is None else int(fit.items.sum())
        rows.append({"what": fit.what, "items": n_items, "items_only_in_test": n_later, "last": fit.last})
        rows[-1]["verdict"] = verdict
    return rows


def fit_notes(rows: Iterable[dict[str, Any]]) -> list[str]:
    """`fit_leaks` in words, a line a verdict; nothing where nothing was fitted."""
    found: dict[str, list[str]] = {}
    for row in rows:
        counts = "" if row["items"] is None else f" ({row['items_only_in_test']} of {row['items']} items)"
        found.setdefault(row["verdict"], []).append(row["what"] + counts)
    return [
        f"{'Leak: ' if verdict == 'choices' else ''}{', '.join(whats)} {VERDICTS[verdict]}."
        + (
            " Who chose what plays no part in it; a shop has those features when it makes lists."
            if verdict == "items"
            else ""
        )
        for verdict, whats in found.items()
    ]


def _pair_keys(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """One integer for each distinct (user, item)."""
    user, _ = pd.factorize(frame["user_id"])
    item, items = pd.factorize(frame["item_id"])
    return np.asarray(user, np.int64) * len(items) + item


def _day(time: Any) -> str | None:
    return None if pd.isna(time) else str(time.date())
