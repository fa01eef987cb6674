"""Scoring and top-10 for all users, seen and denied items left out, against implicit's `recommend` in the same run.

    python benchmarks/topk.py [--users 50000] [--items 50000] [--factors 64] [--k 10] [--rounds 3]

The peer runs as installed and as its authors advise (BLAS on one thread, its own threads beside); the ratio is
against the faster. A tenth of the items is denied, as out of stock; every user has seen 20. Lists are compared before
anything is timed: the same items in the same order, but for neighbours whose scores agree to 1e-5. Contenders take
turns; figures are medians over rounds. Ours is measured once more with nothing denied, and its memory in a run of its
own.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits
from turns import peak_mb, take_turns

from recsys.data.ids import IdMap
from recsys.files import write_json
from recsys.models.fitted import FittedModel
from recsys.retrieval.factors import Factors

HERE = Path(__file__).resolve().parent
GOAL = 1.5
OURS, BARE = "ours", "ours, nothing denied"
PEERS = ("implicit, as installed", "implicit, BLAS on 1 thread")
Lists = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Given(FittedModel):
    """A fitted model of given vectors: what every factor model does when it is asked."""

    model = "given"
    vectors: Factors

    def factors(self) -> Factors:
        """The vectors."""
        return self.vectors

    def _score_block(self, user_idx: np.ndarray) -> np.ndarray:
        return self.vectors.block(user_idx)


def problem(options: argparse.Namespace) -> tuple[Given, np.ndarray]:
    """Normal vectors, 20 seen items a user, and the denied items."""
    rng = np.random.default_rng(0)
    n, m = options.users, options.items
    vectors = Factors(rng.standard_normal((n, options.factors)), rng.standard_normal((m, options.factors)))
    users, items = (IdMap.of([f"{kind}{i}" for i in range(size)]) for kind, size in (("u", n), ("i", m)))
    row, column = np.repeat(np.arange(n), 20), rng.integers(0, m, 20 * n)
    seen = sp.csr_array((np.ones(20 * n, np.float32), (row, column)), shape=(n, m))
    seen.sum_duplicates()
    return Given(None, users, items, seen, vectors), np.sort(rng.choice(m, m // 10, replace=False))


def contenders(model: Given, denied: np.ndarray, k: int) -> dict[str, Callable[[], Lists]]:
    """Name → all users' lists."""
    with threadpool_limits(limits=1, user_api="blas"):  # it warns when it is made beside BLAS threads
        peer = AlternatingLeastSquares(factors=model.vectors.queries.shape[1])
    peer.user_factors, peer.item_factors = model.vectors.queries, model.vectors.columns
    users, liked = np.arange(len(model.users)), sp.csr_matrix(model.seen)
    allowed = np.ones(len(model.items), bool)
    allowed[denied] = False

    def implicit(blas: int | None) -> Lists:
        with threadpool_limits(limits=blas, user_api="blas"):
            return peer.recommend(users, liked, N=k, filter_already_liked_items=True, filter_items=denied)

    return {
        PEERS[0]: lambda: implicit(None),
        PEERS[1]: lambda: implicit(1),
        OURS: lambda: model.top_items(users, k=k, allowed=allowed),
        BARE: lambda: model.top_items(users, k=k),
    }


def disagreement(ours: Lists, peers: Lists) -> float:
    """Largest relative difference of scores at one place of one list; items may differ only where it is a tie."""
    index, score = ours
    other, theirs = peers
    gap = np.abs(score - theirs) / np.maximum(np.abs(theirs), 1e-12)
    if not np.isfinite(score).all() or gap.max() > 1e-5:
        raise SystemExit(f"the lists differ: scores by up to {gap.max():.2g}; nothing is timed")
    differ = index != other
    tied = np.zeros_like(differ)
    near = np.abs(np.diff(score, axis=1)) <= 1e-5 * np.abs(score[:, 1:])
    tied[:, 1:] |= near
    tied[:, :-1] |= near
    tied[:, -1] = True  # its rival may be the first that is not listed
    if (differ & ~tied).any():
        raise SystemExit(f"the lists differ: {int((differ & ~tied).sum())} items that are no ties; nothing is timed")
    return float(differ.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("users", 50_000), ("items", 50_000), ("factors", 64), ("k", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    model, denied = problem(options)
    work = contenders(model, denied, options.k)
    ties = disagreement(work[OURS](), work[PEERS[1]]())
    seconds = {name: timed["wall_s"] for name, timed in take_turns(work, options.rounds).items()}
    ratio = min(seconds[p] for p in PEERS) / seconds[OURS]
    found = {"seconds": seconds, "ratio": ratio, "swapped_ties": ties, "peak_mb": peak_mb(work[OURS]), "load": load}
    for name, value in seconds.items():
        print(f"{name:<28}{value:>8.2f} s{options.users / value:>12,.0f} users/s")
    verdict = "reached" if ratio >= GOAL else "MISSED"
    print(
        f"\n{ratio:.2f} times the faster peer (goal {GOAL}: {verdict}); same lists, {ties:.1e} of places swapped ties"
    )
    print(f"ours took {found['peak_mb']:.0f} MB beside the vectors, lists included; load before the start {load:.1f}")
    write_json(HERE / "results" / "topk.json", found | vars(options))


if __name__ == "__main__":
    main()
