"""Objects that say how to read a number: definition, denominator, range, empty case; and the tables of their names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from evaluation.metrics import ranking
from evaluation.metrics.lists import Hits, Ints, Values, check_k

Function = Callable[[Hits, Ints, int], Values]
Depth = Callable[[int, int], int]


def k_ranks(k: int, most_relevant: int) -> int:
    """A metric that reads the first ``k`` ranks."""
    return k


@dataclass(frozen=True)
class Measure:
    """How to read a number.

    Attributes:
        name: As in results.
        definition: What is counted.
        denominator: By what it is divided.
        empty: What a case without anything to count gives.
        range: Lowest and highest value; higher is better where "better" applies.
        source: Paper that defines it, where it is not common knowledge.
    """

    name: str
    definition: str
    denominator: str
    empty: str
    range: tuple[float, float] = (0.0, 1.0)
    source: str = ""


@dataclass(frozen=True)
class Metric(Measure):
    """A measure of each user's list, averaged over users.

    Attributes:
        function: (hits, n_relevant, k) → (n_users,) values.
        depth: (k, the most relevant items of a user) → ranks that the function reads.

    Example:
        >>> import numpy as np
        >>> at_2 = RANKING["recall"].at(2)
        >>> at_2.name, at_2(np.array([[True, False, True]]), np.array([4])).tolist()
        ('recall@2', [0.25])

    Another patience of `rbp` is another metric:

        >>> from dataclasses import replace
        >>> from functools import partial
        >>> hasty = replace(RANKING["rbp"], name="rbp.50", function=partial(ranking.rbp, persistence=0.5))
    """

    function: Function = ranking.hit_rate
    depth: Depth = k_ranks

    def at(self, k: int) -> MetricAt:
        """This metric of lists of ``k``.

        Raises:
            ConfigError: ``k`` is below 1.
        """
        return MetricAt(self, k)


@dataclass(frozen=True)
class MetricAt:
    """A metric with its list length: one column of a table."""

    metric: Metric
    k: int

    def __post_init__(self) -> None:
        check_k((self.k,))

    @property
    def name(self) -> str:
        """As in the head of a table: ``ndcg@10``."""
        return f"{self.metric.name}@{self.k}"

    def __call__(self, hits: Hits, n_relevant: Ints) -> Values:
        """(n_users,) values, NaN for users without relevant items."""
        return self.metric.function(hits, n_relevant, self.k)


def _metric(
    name: str, function: Function, definition: str, denominator: str, *, depth: Depth = k_ranks, source: str = ""
) -> Metric:
    empty = "a user without relevant items has no value and is not averaged"
    return Metric(name, definition, denominator, empty, source=source, function=function, depth=depth)


RANKING = {
    m.name: m
    for m in (
        _metric("recall", ranking.recall, "relevant items in the first k", "the user's relevant items"),
        _metric("precision", ranking.precision, "relevant items in the first k", "k"),
        _metric(
            "ndcg",
            ranking.ndcg,
            "gain 1/log2(rank + 1) of relevant items",
            "the best achievable, min(k, relevant) hits on top",
            source="Järvelin and Kekäläinen 2002",
        ),
        _metric(
            "map",
            ranking.average_precision,
            "precision at each relevant item's rank",
            "min(k, the user's relevant items)",
        ),
        _metric("mrr", ranking.reciprocal_rank, "1 / rank of the first relevant item", "1 a user"),
        _metric("hit_rate", ranking.hit_rate, "users with a relevant item in the first k", "1 a user"),
        _metric(
            "ndcg_full_k",
            ranking.ndcg_full_k,
            "gain 1/log2(rank + 1) of relevant items",
            "k hits on top, however few are relevant",
            source="Järvelin and Kekäläinen 2002",
        ),
        _metric(
            "map_all",
            ranking.average_precision_all,
            "precision at each relevant item's rank",
            "the user's relevant items",
            source="trec_eval (map_cut)",
        ),
        _metric(
            "r_precision",
            ranking.r_precision,
            "relevant items in the first R and the first k, R the user's relevant items",
            "R",
            source="Buckley and Voorhees 2000",
        ),
        _metric(
            "rbp",
            ranking.rbp,
            "0.8^(rank - 1) of relevant items in the first k",
            "1 / (1 - 0.8), an endless list of hits",
            source="Moffat and Zobel 2008",
        ),
        _metric(
            "pauc",
            ranking.pauc,
            "relevant items above each of the k highest irrelevant ones",
            "k × the user's relevant items",
            depth=lambda k, most: k + most,
            source="Hiranandani et al. 2020",
        ),
        _metric(
            "pap",
            ranking.pap,
            "the min(k, relevant) highest relevant items above each of the k highest irrelevant ones",
            "k × min(k, the user's relevant items)",
            depth=lambda k, most: k + min(k, most),
            source="Budhiraja et al. 2020",
        ),
    )
}
"""Accuracy of a list, by name: everything that `score_lists` can compute."""

METRICS = {name: RANKING[name] for name in ("recall", "precision", "ndcg", "map", "mrr", "hit_rate")}
"""What every comparison reports."""

SHARES = {
    m.name: m
    for m in (
        Measure("coverage", "distinct items in at least one list", "candidate items", "0 without candidates"),
        Measure("cold_share", "listed items that nobody had before the split", "listed items", "0 without lists"),
        Measure("filled", "ranks that hold an item", "users × k", "0 without users"),
        Measure(
            "undecided",
            "lists whose scores are all equal, so that a hash of the id ranks them, not the model",
            "users",
            "lists of fewer than two items decide nothing and are not counted as undecided",
        ),
    )
}
"""What the lists of all users look like together; no judgement by relevance."""

_NO_LIST = "a user with an empty list has no value"
_NO_PAST = "users with an empty list or without history have no value"

BEYOND = {
    m.name: m
    for m in (
        Measure(
            "gini",
            "inequality of exposure among the candidates; 1: one item has all",
            "(candidates - 1) × exposure",
            "no value without exposure",
            source="Gunawardana and Shani 2015",
        ),
        Measure(
            "entropy",
            "Shannon entropy of exposure, in bits",
            "exposure",
            "no value without exposure",
            (0.0, math.inf),
            "Gunawardana and Shani 2015",
        ),
        Measure(
            "novelty",
            "-log2 of the share of users who have the listed item (MIUF)",
            "listed items",
            _NO_LIST,
            (0.0, math.inf),
            "Castells et al. 2011",
        ),
        Measure(
            "arp",
            "users who have the listed item (average recommendation popularity)",
            "listed items",
            _NO_LIST,
            (0.0, math.inf),
            "Yin et al. 2012",
        ),
        Measure(
            "popularity_lift",
            "popularity of what is listed, minus that of what its users have",
            "popularity of what they have",
            _NO_PAST,
            (-1.0, math.inf),
            "Abdollahpouri et al. 2020",
        ),
        Measure(
            "intra_list_distance",
            "1 - cosine of the pairs of a list, in style space or by category",
            "pairs of the list",
            "lists of fewer than two items have no value",
            (0.0, 2.0),
            "Ziegler et al. 2005",
        ),
        Measure(
            "unexpectedness",
            "1 - cosine of each listed item and each that the user has",
            "listed items × items the user has",
            _NO_PAST,
            (0.0, 2.0),
            "Castells et al. 2015",
        ),
        Measure(
            "serendipity",
            "1 - cosine of each relevant listed item and each that the user has",
            "listed items × items the user has",
            f"{_NO_PAST}, nor have users without relevant items",
            (0.0, 2.0),
            "Kotkov et al. 2016",
        ),
        Measure(
            "personalisation",
            "1 - cosine of the lists of two users, as sets",
            "pairs of users",
            "no value with fewer than two lists",
            source="Zhou et al. 2010",
        ),
        Measure(
            "calibration",
            "Kullback-Leibler divergence of the user's categories or styles from the list's, in nats",
            "1 a user",
            "users without a known category or style on either side have no value",
            (0.0, math.inf),
            "Steck 2018",
        ),
        Measure(
            "disparity",
            "exposure that would have to change hands for each style, seller or price band to have its due",
            "exposure of items with a group",
            "no value without exposure",
            source="Gómez et al. 2022",
        ),
        Measure(
            "exposure_share",
            "exposure of the items of one style, seller or price band",
            "exposure of items with a group",
            "no value without exposure",
            source="Gómez et al. 2022",
        ),
        Measure(
            "presentation_mix",
            "exposure in one look",
            "exposure",
            "no value without exposure",
        ),
    )
}
"""Beyond accuracy, in `catalogue` and `diversity`."""

FURTHER = {
    m.name: m
    for m in (
        Measure(
            "ndcg_graded",
            "gain/log2(rank + 1) of relevant items",
            "the best achievable, the k highest gains on top",
            "a user without any gain to find has no value",
            source="Järvelin and Kekäläinen 2002",
        ),
        Measure(
            "auc",
            "relevant items above each irrelevant candidate, unlisted ones tied at the end",
            "relevant × irrelevant candidates",
            "a user for whom no candidate or every one is relevant has no value",
            source="Mann and Whitney 1947",
        ),
        Measure(
            "ips",
            "credit / propensity of relevant pairs",
            "the size given: truly relevant items, or candidates",
            "no value where the size is 0",
            (0.0, math.inf),
            "Schnabel et al. 2016",
        ),
        Measure(
            "snips",
            "credit / propensity of relevant pairs",
            "1 / propensity of the user's relevant pairs, summed",
            "a user without relevant pairs has no value",
            source="Yang et al. 2018",
        ),
        Measure(
            "stratified",
            "credit of relevant pairs, by strata of propensity",
            "relevant pairs of the stratum",
            "a stratum without pairs has no value",
            source="Jadidinejad et al. 2021",
        ),
        Measure(
            "sampled (BIASED)",
            "any of these, among drawn irrelevant items instead of all",
            "as the metric it is named after",
            "as the metric it is named after",
            source="Krichene and Rendle 2020",
        ),
    )
}
"""Accuracy that needs more than hits: gains, all candidates, propensities or a sample."""
