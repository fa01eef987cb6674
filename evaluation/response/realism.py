"""How far simulated clicks are from real ones: perplexity, rates, distances, and a classifier that tries to tell."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, ndtri
from scipy.stats import kstwobign, rankdata

from evaluation.response.fitting import Fit
from evaluation.response.impressions import Impressions

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
CERTAIN = 1e-9
"""A probability is never taken as nearer to 0 or 1, so that one surprise is not infinite."""
MOST_PAGES = 20_000
"""For the classifier: its AUC is known within 0.01 by then."""


def perplexity(probability: Floats, click: Bools) -> float:
    """2 to the mean surprise in bits, of clicks and of none: 1 is foresight, 2 a coin. Range [1, ∞); NaN without any.

    Dupret and Piwowarski, A user browsing model to predict search engine click data from past observations, 2008.

    Example:
        >>> perplexity(np.array([0.5, 0.5]), np.array([True, False]))
        2.0
    """
    if not len(click):
        return float("nan")
    p = np.clip(np.where(click, probability, 1 - probability), CERTAIN, 1)
    return float(2 ** -np.log2(p).mean())


def divergence(real: npt.ArrayLike, simulated: npt.ArrayLike) -> float:
    """KL(real ‖ simulated) in nats of two histograms, half a count added to each cell: >= 0, 0 for equal shares.

    Example:
        >>> divergence([10, 30], [10, 30])
        0.0
    """
    p, q = (np.asarray(h, np.float64) + 0.5 for h in (real, simulated))
    p, q = p / p.sum(), q / q.sum()
    return max(0.0, float(np.sum(p * np.log(p / q))))


def distance(real: npt.ArrayLike, simulated: npt.ArrayLike) -> tuple[float, float]:
    """Kolmogorov–Smirnov: largest gap between two distributions, in [0, 1], and its p-value (large samples).

    Example:
        >>> distance([1, 2, 3, 4], [3, 4, 5, 6])[0]
        0.5
    """
    a, b = (np.sort(np.asarray(x, np.float64)) for x in (real, simulated))
    at = np.concatenate([a, b])
    shares = [np.searchsorted(x, at, side="right") / len(x) for x in (a, b)]
    gap = float(np.abs(shares[0] - shares[1]).max())
    return gap, float(kstwobign.sf(gap * np.sqrt(len(a) * len(b) / (len(a) + len(b)))))


@dataclass(frozen=True)
class Realism:
    """A fitted model against impressions that it has not seen.

    Attributes:
        impressions: How many.
        clicks: Of them clicked.
        perplexity: Of the model's click probabilities; see `perplexity`.
        perplexity_given_above: Of each click given those above it on the page: the likelihood of whole pages. It sees
            how clicks hang together, which marginal probabilities do not.
        perplexity_of_ranks: The same of the click rates of ranks alone, whatever the item: what must be beaten.
        ranks: For each place from 1: rank, impressions, real and simulated click rate, the model's expectation and
            perplexity.
        kl_ranks: KL of the ranks of clicks, real to simulated.
        ks_items: Largest gap between the distributions of items' click rates (two-sample Kolmogorov–Smirnov).
        ks_items_p: Its p-value.
        ks_pages: The same gap for clicks a page; None where the log knows no pages.
        kl_pages: KL of clicks a page; None likewise.
        auc: Of a classifier that is shown real and simulated pages and has to tell which is which, cross-fitted: 0.5
            cannot tell, 1 always can.
        auc_low: 95 % interval (DeLong).
        auc_high: Likewise.
    """

    impressions: int
    clicks: int
    perplexity: float
    perplexity_given_above: float
    perplexity_of_ranks: float
    ranks: tuple[dict[str, float], ...]
    kl_ranks: float
    ks_items: float
    ks_items_p: float
    ks_pages: float | None
    kl_pages: float | None
    auc: float
    auc_low: float
    auc_high: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return asdict(self) | {"ranks": list(self.ranks)}


def compare(fit: Fit, held_out: Impressions, learned: Impressions, *, seed: int = 0) -> Realism:
    """The model's clicks on the held-out pages beside those that people made there.

    Args:
        fit: From ``learned``.
        held_out: Pages of the same items and ranks.
        learned: For the click rates of ranks.
        seed: Of the simulated clicks and of the classifier's folds.
    """
    rng = np.random.default_rng(seed)
    items, real = held_out.pages()
    odds = fit.log_odds(items)
    expected = fit.model.probability(odds)
    fake = fit.model.clicks(odds, rng) & (items >= 0)
    there = items >= 0
    rate = _rates(learned)[held_out.rank]
    rows, columns = held_out.page, held_out.rank
    p, click = expected[rows, columns], held_out.click
    gap, gap_p = distance(_item_rates(held_out, click), _item_rates(held_out, fake[rows, columns]))
    counts = [c.sum(axis=1) for c in (real, fake)]
    auc, error = _tell_apart(_features(real, odds), _features(fake, odds), rng)
    reach = float(ndtri(0.975)) * error
    return Realism(
        len(held_out),
        int(click.sum()),
        perplexity(p, click),
        perplexity(fit.model.given_above(odds, real)[rows, columns], click),
        perplexity(rate, click),
        tuple(_rank(r, there[:, r], real[:, r], fake[:, r], expected[:, r]) for r in range(held_out.n_ranks)),
        divergence(real.sum(axis=0), fake.sum(axis=0)),
        gap,
        gap_p,
        distance(counts[0], counts[1])[0] if held_out.paged else None,
        divergence(*(np.bincount(c, minlength=held_out.n_ranks + 1) for c in counts)) if held_out.paged else None,
        auc,
        max(0.0, auc - reach),
        min(1.0, auc + reach),
    )


def _rates(log: Impressions) -> Floats:
    """(n_ranks,) click rate of each place, half a click added."""
    shown = np.bincount(log.rank, minlength=log.n_ranks)
    return np.asarray((np.bincount(log.rank, log.click, minlength=log.n_ranks) + 0.5) / (shown + 1))


def _item_rates(log: Impressions, click: Bools) -> Floats:
    shown = np.bincount(log.item, minlength=log.n_items)
    return np.asarray((np.bincount(log.item, click, minlength=log.n_items) / np.maximum(shown, 1))[shown > 0])


def _rank(place: int, there: Bools, real: Bools, fake: Bools, expected: Floats) -> dict[str, float]:
    n = max(int(there.sum()), 1)
    return {
        "rank": place + 1,
        "impressions": int(there.sum()),
        "real": float(real.sum() / n),
        "simulated": float(fake.sum() / n),
        "expected": float(expected[there].sum() / n),
        "perplexity": perplexity(expected[there], real[there]),
    }


def _features(clicks: Bools, odds: Floats) -> Floats:
    """(n, ·) what a page's clicks look like: where, next to each other, how many, how high, on what."""
    c = clicks.astype(np.float64)
    attraction = np.where(np.isneginf(odds), 0.0, odds)
    total = c.sum(axis=1, keepdims=True)
    first = np.where(total > 0, clicks.argmax(axis=1)[:, None], -1)
    last = np.where(total > 0, clicks.shape[1] - 1 - clicks[:, ::-1].argmax(axis=1)[:, None], -1)
    return np.hstack([c, c * attraction, c[:, 1:] * c[:, :-1], total, total**2, first, last, last - first])


def _tell_apart(real: Floats, fake: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """AUC and its standard error: logistic regression with a small ridge, each half judged by what the other taught.

    A page and its simulated twin are in one half.
    """
    if len(real) > MOST_PAGES:
        some = rng.choice(len(real), MOST_PAGES, replace=False)
        real, fake = real[some], fake[some]
    n = len(real)
    if n < 4:
        return 0.5, 0.5
    half = rng.permutation(n) % 2
    x, half = np.vstack([real, fake]), np.tile(half, 2)
    label = np.repeat([1.0, 0.0], n)
    score = np.empty(2 * n)
    for side in (0, 1):
        mean, spread = x[half != side].mean(axis=0), x[half != side].std(axis=0)
        z = (x - mean) / np.where(spread > 1e-9, spread, 1.0)
        score[half == side] = z[half == side] @ _logistic(z[half != side], label[half != side])
        score[half == side] = rankdata(score[half == side]) / (half == side).sum()  # halves have scales of their own
    return _auc(score[:n], score[n:])


def _logistic(x: Floats, y: Floats) -> Floats:
    def loss(w: Floats) -> tuple[float, Floats]:
        z = x @ w
        return float(np.logaddexp(0, z).sum() - y @ z + 0.5 * w @ w), x.T @ (expit(z) - y) + w

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 100}).x)


def _auc(high: Floats, low: Floats) -> tuple[float, float]:
    """Chance that one of ``high`` exceeds one of ``low``, ties half; and its error (DeLong et al., 1988)."""
    m, n = len(high), len(low)
    ranks = rankdata(np.concatenate([high, low]))
    of_high = (ranks[:m] - rankdata(high)) / n
    of_low = 1 - (ranks[m:] - rankdata(low)) / m
    return float(of_high.mean()), float(np.sqrt(of_high.var(ddof=1) / m + of_low.var(ddof=1) / n))
