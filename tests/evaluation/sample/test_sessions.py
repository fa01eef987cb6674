"""The simulated log against the closed forms of the click model it claims to follow."""

import numpy as np
import pytest
from scipy import stats

from evaluation.sample import STYLES, ClickModel
from evaluation.sample.people import DAYS, START, TASTES, make_items, make_users
from evaluation.sample.sessions import draw_slates, log_odds, simulate_log
from recsys.errors import ConfigError

CLICKS = ClickModel()


@pytest.fixture(scope="module")
def world():
    items = make_items(240, CLICKS, np.random.default_rng([3, 0]))
    users = make_users(500, CLICKS, np.random.default_rng([3, 1]))
    return items, users, simulate_log(items, users, CLICKS, np.random.default_rng([3, 2]))


def true_click_rates(world):
    items, users, log = world
    shown = log.impressions
    u = users.set_index("user_id").index.get_indexer(shown["user_id"])
    i = items.set_index("item_id").index.get_indexer(shown["item_id"])
    odds = log_odds(items, users, CLICKS)[u, i]
    return odds, CLICKS.clicks(odds, shown["position"].to_numpy())


def test_click_rate_matches_closed_form_at_every_position_and_attraction(world):
    # oracle: sum of Bernoulli(p): mean sum p, variance sum p(1-p); 20 cells, 4.5 sigma
    odds, chance = true_click_rates(world)
    shown = world[2].impressions
    for cell in (
        shown["position"].to_numpy(),
        np.digitize(odds, np.quantile(odds, np.linspace(0.1, 0.9, 9))),
    ):
        for value in np.unique(cell):
            rows = cell == value
            gap = shown["click"].to_numpy()[rows].sum() - chance[rows].sum()
            assert abs(gap) < 4.5 * np.sqrt((chance[rows] * (1 - chance[rows])).sum())


def test_position_bias_is_recovered_by_maximum_likelihood(world):
    # oracle: eta of the model; at the true attraction the score of eta is linear enough for a grid search
    odds, _ = true_click_rates(world)
    shown = world[2].impressions
    rank, click = shown["position"].to_numpy(), shown["click"].to_numpy()
    grid = np.arange(0.6, 1.01, 0.01)
    chances = (ClickModel(eta=float(e)).clicks(odds, rank) for e in grid)
    fit = [stats.bernoulli.logpmf(click, np.minimum(p, 1 - 1e-12)).sum() for p in chances]
    # Fisher information of eta at the truth gives a standard error near 0.011 with about 7,800 clicks
    assert grid[int(np.argmax(fit))] == pytest.approx(CLICKS.eta, abs=0.05)


def test_purchase_rate_after_click_matches_closed_form(world):
    log = world[2]
    odds, _ = true_click_rates(world)
    clicked = log.impressions["click"].to_numpy() == 1
    first = ~log.impressions[clicked].duplicated(["user_id", "item_id"], keep=False).to_numpy()
    # products clicked once by a user: nothing is dropped as bought twice, so purchases are Bernoulli draws
    once = log.impressions[clicked][first]
    bought = log.interactions[log.interactions["event"] == "purchase"]
    hit = once.merge(bought, on=["user_id", "item_id"])
    chance = CLICKS.purchases(odds[clicked][first])
    assert abs(len(hit) - chance.sum()) < 4.5 * np.sqrt((chance * (1 - chance)).sum())


def test_taste_drives_purchases(world):
    items, users, log = world
    bought = log.interactions[log.interactions["event"] == "purchase"].merge(items[["item_id", *STYLES]], on="item_id")
    profile = bought.groupby("user_id")[list(STYLES)].mean()
    many = bought.groupby("user_id").size() >= 8
    taste = users.set_index("user_id").loc[profile.index[many], TASTES]
    for style in STYLES:
        # 0 under independence; the floor is far above the 4-sigma noise of some 180 users (0.3)
        assert np.corrcoef(profile.loc[many, style], taste[f"taste_{style}"])[0, 1] > 0.55


def test_no_slate_shows_an_item_twice_or_before_its_launch(world):
    items, _, log = world
    shown = log.impressions
    assert not shown.duplicated(["session", "item_id"]).any()
    launched = items.set_index("item_id")["launched"].loc[shown["item_id"]].to_numpy()
    assert (shown["timestamp"].to_numpy() >= launched).all()
    assert shown["timestamp"].min() >= START
    assert shown["timestamp"].max() < START + np.timedelta64(DAYS, "D")


def test_time_split_has_cold_purchases_and_a_long_tail(world):
    log = world[2].interactions
    late = log["timestamp"] > log["timestamp"].quantile(0.8)
    bought = log[late & (log["event"] == "purchase")]
    cold = ~bought["item_id"].isin(log["item_id"][~late])
    assert 0.18 < cold.mean() < 0.42  # designed for 25-30 %; several seeds spread over 23-34 %
    counts = np.sort(log["item_id"].value_counts().to_numpy())[::-1]
    assert counts[:24].sum() > 0.3 * counts.sum()  # a tenth of the products: 0.1 were all alike


def test_slates_follow_plackett_luce():
    # oracle: P(first = i) = w_i / sum w; P(second = j | first = i) = w_j / (sum w - w_i)
    weight, n = np.array([1.0, 2.0, 5.0, 0.0]), 40_000
    slate, chance = draw_slates(np.tile(weight, (n, 1)), 2, np.random.default_rng(0))
    expected = {(i, j): weight[i] / 8 * weight[j] / (8 - weight[i]) for i in range(3) for j in range(3) if i != j}
    for (i, j), p in expected.items():
        rows = (slate[:, 0] == i) & (slate[:, 1] == j)
        assert abs(rows.mean() - p) < 4.5 * np.sqrt(p * (1 - p) / n)
        np.testing.assert_allclose(chance[rows].prod(axis=1), p, rtol=1e-12)


def test_inverse_propensity_counts_the_catalogue(world):
    # oracle: E[1 / P(first draw)] = number of products that can be drawn
    items, _, log = world
    first = log.impressions[(log.impressions["position"] == 1)]
    available = np.searchsorted(np.sort(items["launched"].to_numpy()), first["timestamp"].to_numpy(), side="right")
    gap = 1 / first["propensity"].to_numpy() - available
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(len(gap))


@pytest.mark.parametrize(("field", "value"), [("slate", 0), ("eta", -0.1), ("eta", float("nan"))])
def test_click_model_refuses_nonsense(field, value):
    with pytest.raises(ConfigError, match=f"{field} must be"):
        ClickModel(**{field: value})
