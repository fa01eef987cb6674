"""Policies against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from evaluation.ope import BanditLog, LogColumns, OPEConfig, Scored, Table, Uniform, evaluate_policy, read_log
from evaluation.ope.policies import chosen_by, greedy, logged_policy, recommender_scores, thompson
from evaluation.ope.slates import Ranked
from recsys.data import Catalog, Dataset, Interactions
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.models.popularity import Popularity

SHOWN = pd.DataFrame(
    {
        "user_id": ["u", "v", "u", "w"],
        "item_id": ["a", "b", "c", "a"],
        "presentation": ["original", "retro", "retro", "festive"],
        "click": [1, 0, 1, 0],
        "propensity": [0.5, 0.3, 0.3, 0.2],
    }
)


def looks() -> BanditLog:
    return read_log(SHOWN, LogColumns(action="presentation", context=("user_id",)))


def test_thompson_is_the_probability_that_one_beta_beats_another() -> None:
    """Oracle: numerical integration of ∫ f_a(x) F_b(x) dx."""
    a, b = stats.beta(3, 20), stats.beta(4, 40)
    wins, _ = integrate.quad(lambda x: a.pdf(x) * b.cdf(x), 0, 1)
    found = thompson([3, 4], [20, 40], rng=np.random.default_rng(0), n_positions=2, draws=100_000)
    assert isinstance(found.values, np.ndarray)
    error = np.sqrt(wins * (1 - wins) / 100_000)
    assert found.values[0, 0] == pytest.approx(wins, abs=4 * error)
    assert found.values[1].tolist() == found.values[0, ::-1].tolist()  # whoever loses stands second


def test_a_page_is_what_plackett_luce_draws() -> None:
    """Oracle: Gumbel noise added to the scores and sorted is Plackett-Luce (Yellott, 1977)."""
    scores, rng, n = np.array([0.0, 1.0, 2.0, -1.0]), np.random.default_rng(0), 200_000
    page = np.argsort(-(scores + rng.gumbel(size=(n, 4))), axis=1)[:, :3]
    policy = Ranked(lambda context: np.tile(scores, (len(context), 1)), temperature=1.0)
    share = np.ones(1)
    for k, action in enumerate([1, 2, 0]):
        share = share * policy.following(np.zeros(1, int), np.array([[1, 2, 0][:k]], int).reshape(1, k))[:, action]
    drawn = (page == [1, 2, 0]).all(axis=1).mean()
    assert drawn == pytest.approx(share[0], abs=4 * np.sqrt(share[0] / n))


def test_greedy_takes_the_rank_of_its_place() -> None:
    scores = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 1.0]])
    assert greedy(scores, np.array([0, 1]), 0.3) == pytest.approx(np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]))
    with pytest.raises(DataError, match="fewer actions with a finite score"):
        greedy(np.array([[1.0, -np.inf]]), np.array([1]), 0.0)


def test_a_plan_for_each_user() -> None:
    log = looks()
    plan = pd.DataFrame({"user_id": ["u", "v", "w"], "presentation": ["retro", "retro", "original"]})
    policy = chosen_by(plan, log, action="presentation", keys=["user_id"])
    best = log.actions.ids[policy.probabilities(np.arange(3), np.zeros(3, int)).argmax(axis=1)]
    assert dict(zip(log.contexts["user_id"], best, strict=True)) == {"u": "retro", "v": "retro", "w": "original"}


def test_a_plan_with_probabilities() -> None:
    log = looks()
    plan = pd.DataFrame(
        {"user_id": ["u", "u", "v"], "presentation": ["retro", "original", "festive"], "p": [0.4, 0.6, 1]}
    )
    policy = chosen_by(plan, log, action="presentation", keys=["user_id"], probability="p", otherwise="retro")
    rows = policy.probabilities(np.arange(3), np.zeros(3, int))
    named = [dict(zip(log.actions.ids, row, strict=True)) for row in rows.tolist()]
    assert named == [
        {"festive": 0.0, "original": 0.6, "retro": 0.4},
        {"festive": 1.0, "original": 0.0, "retro": 0.0},
        {"festive": 0.0, "original": 0.0, "retro": 1.0},
    ]


@pytest.mark.parametrize(
    ("plan", "options", "message"),
    [
        ({"user_id": ["u"], "presentation": ["retro"]}, {}, "says nothing of 2 of the log's 3 contexts"),
        ({"user_id": ["u", "u"], "presentation": ["retro", "original"]}, {}, "2 rows for 1 contexts"),
        ({"user_id": list("uvw"), "presentation": "retro", "p": 0.7}, {"probability": "p"}, "sum to 1"),
        ({"user_id": list("uvw"), "look": "retro"}, {}, "misses presentation"),
        ({"town": ["ulm"], "presentation": ["retro"]}, {"keys": ["town"]}, "no context of the log"),
    ],
)
def test_plans_that_cannot_be_used_are_refused(plan: dict, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        chosen_by(pd.DataFrame(plan), looks(), action="presentation", **({"keys": ["user_id"]} | options))


def test_a_plan_with_an_unknown_action_is_refused() -> None:
    plan = pd.DataFrame({"user_id": list("uvw"), "presentation": "glitter"})
    with pytest.raises(UnknownIdError, match="glitter"):
        chosen_by(plan, looks(), action="presentation", keys=["user_id"])


def test_a_recommender_is_a_policy() -> None:
    """Popularity: everybody gets the item that was bought most, here b."""
    bought = pd.DataFrame({"user_id": ["u", "v", "w", "w"], "item_id": ["b", "b", "b", "a"]})
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": ["c", "b", "a"]}))
    fitted = Popularity().fit(Dataset.of(Interactions.from_frame(bought), catalog))
    log = read_log(SHOWN, LogColumns(context=("user_id",)))
    policy = Scored(recommender_scores(fitted, log), epsilon=0.3)
    assert policy.probabilities(np.arange(3), np.zeros(3, int)) == pytest.approx(np.tile([0.1, 0.8, 0.1], (3, 1)))
    with pytest.raises(DataError, match="name it as context"):
        recommender_scores(fitted, read_log(SHOWN))
    stranger = read_log(SHOWN.assign(user_id="x"), LogColumns(context=("user_id",)))
    with pytest.raises(UnknownIdError, match="1 of the log's 1 users, first 'x'"):
        recommender_scores(fitted, stranger)


def test_the_logged_policy_shares_what_is_left_among_the_unseen() -> None:
    log = BanditLog.of([0, 0, 1], [0, 0, 0], [0.6, 0.6, 0.2], actions=4)
    assert logged_policy(log).values == pytest.approx(np.array([[0.6, 0.2, 0.1, 0.1]]))
    with pytest.raises(DataError, match="propensities of one action differ"):
        logged_policy(BanditLog.of([0, 0], [0, 0], [0.6, 0.5], actions=4))
    with pytest.raises(DataError, match=r"sum to 1\.5"):
        logged_policy(BanditLog.of([0, 1], [0, 0], [0.8, 0.7], actions=2))


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"epsilon": 1.1}, {"temperature": 1.0, "epsilon": 0.1}])
def test_impossible_choices_are_refused(options: dict) -> None:
    for kind in (Scored, Ranked):
        with pytest.raises(ConfigError):
            kind(lambda context: np.zeros((len(context), 2)), **options)


def test_a_policy_that_answers_no_probabilities_is_refused() -> None:
    class Odd:
        name = "odd"

        def probabilities(self, context: np.ndarray, position: np.ndarray) -> np.ndarray:
            return np.full((len(context), 2), 0.6)

    log = BanditLog.of([0, 1], [0, 1], [0.5, 0.5], actions=2)
    with pytest.raises(DataError, match=r"sum of 1\.2"):
        evaluate_policy(log, Odd(), OPEConfig(("ipw",)))
    with pytest.raises(DataError, match=r"must answer \(1, 2\), got \(1, 3\)"):
        evaluate_policy(log, Uniform(3), OPEConfig(("ipw",)))
    for values in ([[0.5, 0.6]], [[np.nan, 1.0]], [[-0.5, 1.5]]):
        with pytest.raises(DataError, match="sum to 1"):
            Table(np.array(values))
