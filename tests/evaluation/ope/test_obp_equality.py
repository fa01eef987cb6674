"""Random logs: every estimator is the one of the Open Bandit Pipeline, or of a loop where obp has none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bandit_worlds import CascadeWorld

from evaluation.ope.estimators import ESTIMATORS, Bounds
from evaluation.ope.log import BanditLog
from evaluation.ope.policies import Scored
from evaluation.ope.reward_model import Given
from evaluation.ope.rounds import Groups, make_rounds
from evaluation.ope.slates import SLATE_ESTIMATORS, Pages, SlateLog, cascade_dr, make_pages, rips
from recsys.data.ids import IdMap

PEERS = {
    "replay": ("ReplayMethod", {}, Bounds()),
    "ipw": ("InverseProbabilityWeighting", {}, Bounds()),
    "snipw": ("SelfNormalizedInverseProbabilityWeighting", {}, Bounds()),
    "dm": ("DirectMethod", {}, Bounds()),
    "dr": ("DoublyRobust", {}, Bounds()),
    "sndr": ("SelfNormalizedDoublyRobust", {}, Bounds()),
    "switch-dr": ("SwitchDoublyRobust", {"tau": 2.0}, Bounds(switch=2.0)),
    "dros": ("DoublyRobustWithShrinkage", {"lambda_": 5.0}, Bounds(shrinkage=5.0)),
}
N, ACTIONS, PLACES = 300, 5, 3


@pytest.fixture(params=range(3))
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


def feedback(rng: np.random.Generator, *, deterministic: bool) -> tuple[BanditLog, np.ndarray, np.ndarray]:
    """obp's dict as a log; a policy (n, n_actions, len_list) and predictions of that shape."""
    share = rng.dirichlet(np.ones(ACTIONS), (N, PLACES)).transpose(0, 2, 1)
    if deterministic:
        share = (share == share.max(axis=1, keepdims=True)).astype(float)
    logged = {
        "n_actions": ACTIONS,
        "context": rng.normal(size=(N, 2)),
        "action": rng.integers(0, ACTIONS, N),
        "position": rng.integers(0, PLACES, N),
        "reward": rng.normal(1, 1, N),
        "pscore": rng.uniform(0.05, 1, N),
    }
    return BanditLog.from_obp(logged), share, rng.uniform(0, 2, (N, ACTIONS, PLACES))


class Asked:
    """obp's action_dist as a policy."""

    name = "asked"

    def __init__(self, share: np.ndarray) -> None:
        self.share = share

    def probabilities(self, context: np.ndarray, position: np.ndarray) -> np.ndarray:
        return self.share[context, :, position]


@pytest.mark.parametrize("name", PEERS)
def test_an_estimator_is_obps(name: str, rng: np.random.Generator) -> None:
    theirs = pytest.importorskip("obp.ope.estimators", reason="obp is not installed")
    log, share, q = feedback(rng, deterministic=name == "replay")
    rounds = make_rounds(log, Asked(share), fitted=Given(q))
    values, _ = ESTIMATORS[name].values(rounds, PEERS[name][2])
    given = {"reward": log.reward, "action": log.action, "position": log.position, "pscore": log.propensity}
    given |= {"action_dist": share, "estimated_rewards_by_reg_model": q}
    peer = getattr(theirs, PEERS[name][0])(**PEERS[name][1]).estimate_policy_value(**given)
    assert values.mean() == pytest.approx(peer, rel=1e-10)


def test_clipping_and_mips_are_their_definitions(rng: np.random.Generator) -> None:
    """Loops over rounds; obp of this version has neither."""
    log, share, _ = feedback(rng, deterministic=False)
    logged, group = rng.dirichlet(np.ones(ACTIONS), (N, PLACES)).transpose(0, 2, 1), np.array([0, 1, 0, 2, 1])
    rounds = make_rounds(log, Asked(share), groups=Groups.of(group, Asked(logged)))
    clipped = mips = 0.0
    for i in range(N):
        a, k = log.action[i], log.position[i]
        alike = group == group[a]
        clipped += min(share[i, a, k] / log.propensity[i], 1.5) * log.reward[i] / N
        mips += share[i, alike, k].sum() / logged[i, alike, k].sum() * log.reward[i] / N
    assert ESTIMATORS["ipw"].values(rounds, Bounds(clip=1.5))[0].mean() == pytest.approx(clipped)
    assert ESTIMATORS["mips"].values(rounds, Bounds())[0].mean() == pytest.approx(mips)


def test_the_order_and_size_of_blocks_change_nothing(rng: np.random.Generator) -> None:
    """Contexts that repeat are asked about once; the same log with a context a round gives the same columns."""
    features, scores = rng.normal(size=(7, 2)), rng.normal(size=(7, ACTIONS))
    context = rng.integers(0, 7, N)
    columns = {"action": rng.integers(0, ACTIONS, N), "reward": rng.normal(size=N), "propensity": np.full(N, 0.2)}
    q = rng.uniform(size=(7, ACTIONS))
    short = BanditLog.of(**columns, actions=ACTIONS, features=features, context=context)
    long = BanditLog.of(**columns, actions=ACTIONS, features=features[context])
    few = make_rounds(short, Scored(lambda c: scores[c], temperature=1.0), fitted=Given(q), block_cells=11)
    many = make_rounds(long, Scored(lambda c: scores[context[c]], temperature=1.0), fitted=Given(q[context]))
    for name in ("weight", "chosen", "predicted", "value"):
        assert getattr(few, name) == pytest.approx(getattr(many, name), rel=1e-12), name


def pages_of(rng: np.random.Generator) -> tuple[Pages, np.ndarray, np.ndarray]:
    """Pages, and the joint probabilities down to each place: logged and of the policy."""
    logged, target = (np.cumprod(rng.uniform(0.2, 1, (N, PLACES)), axis=1) for _ in range(2))
    rest = [rng.normal(size=(N, PLACES)) for _ in range(3)]
    return Pages(rest[0], target / logged, rest[1], rest[2]), logged, target


@pytest.mark.parametrize(("name", "theirs"), [("sips", "SlateStandardIPS"), ("rips", "SlateRewardInteractionIPS")])
def test_an_estimator_of_pages_is_obps(name: str, theirs: str, rng: np.random.Generator) -> None:
    module = pytest.importorskip("obp.ope.estimators_slate", reason="obp is not installed")
    pages, *joint = pages_of(rng)
    suffix = "_cascade" if name == "rips" else ""
    flat = [p.ravel() if suffix else np.repeat(p[:, -1], PLACES) for p in joint]
    found = getattr(module, theirs)(len_list=PLACES).estimate_policy_value(
        slate_id=np.repeat(np.arange(N), PLACES),
        reward=pages.reward.ravel(),
        position=np.tile(np.arange(PLACES), N),
        **{f"pscore{suffix}": flat[0], f"evaluation_policy_pscore{suffix}": flat[1]},
    )
    assert SLATE_ESTIMATORS[name](pages).mean() == pytest.approx(found)


def test_cascade_dr_is_its_definition_and_rips_without_a_model(rng: np.random.Generator) -> None:
    pages, *_ = pages_of(rng)
    assert pages.predicted is not None
    assert pages.value is not None
    total = 0.0
    for i in range(N):
        before = 1.0
        for k in range(PLACES):
            w = pages.weight[i, k]
            total += w * (pages.reward[i, k] - pages.predicted[i, k]) + before * pages.value[i, k]
            before = w
    assert cascade_dr(pages).mean() == pytest.approx(total / N)
    nothing = np.zeros((N, PLACES))
    assert cascade_dr(Pages(pages.reward, pages.weight, nothing, nothing)) == pytest.approx(rips(pages))


def test_the_logged_policy_itself_has_weights_of_1(rng: np.random.Generator) -> None:
    """Identity: asked about itself, every estimator of pages but the model's gives the mean reward."""
    world = CascadeWorld.make()
    log = world.log(200, rng)
    pages = make_pages(log, world.logged)
    assert pages.weight == pytest.approx(np.ones((200, 3)))
    for name in ("sips", "rips", "snrips"):
        assert SLATE_ESTIMATORS[name](pages).mean() == pytest.approx(log.reward.sum() / 200)


def test_a_short_page_ends_where_it_ends(rng: np.random.Generator) -> None:
    world = CascadeWorld.make()
    log = world.log(50, rng)
    short = SlateLog(
        IdMap.of(log.actions.ids),
        np.column_stack([log.action[:, :2], np.full(50, -1)]),
        np.column_stack([log.reward[:, :2], np.zeros(50)]),
        np.column_stack([log.propensity[:, :2], np.ones(50)]),
        log.context,
        pd.DataFrame(index=[0]),
        log.features,
    )
    whole, cut = make_pages(log, world.target), make_pages(short, world.target)
    assert cut.weight[:, :2] == pytest.approx(whole.weight[:, :2])
    assert cut.weight[:, 2] == pytest.approx(whole.weight[:, 1])  # nothing was chosen there
