"""The Open Bandit sample's golden numbers: random logs asked about the shop's Thompson sampling, and the other way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.ope import BanditLog, Given, LogColumns, OPEConfig, Uniform, evaluate_policy, read_log
from evaluation.ope.policies import Table, thompson
from evaluation.ope.result import OffPolicyResult

N_ITEMS = {"all": 80, "men": 34, "women": 46}
COLUMNS = LogColumns(propensity="propensity_score", position="position")
GOLDEN = {  # campaign → IPW, SNIPW, effective sample size
    "all": (0.00455288, 0.0047758331, 1639.5),
    "men": (0.00453356, 0.0046042322, 2467.4),
    "women": (0.006813474, 0.0068109652, 1954.3),
}


def read(folder: Path, policy: str, campaign: str) -> BanditLog:
    actions = [str(i) for i in range(N_ITEMS[campaign])]
    return read_log(folder / "obd" / policy / campaign / f"{campaign}.csv.gz", COLUMNS, actions=actions)


def published_policy(campaign: str, rng: np.random.Generator | np.random.RandomState) -> Table:
    """From the Beta prior that obp publishes, with 100,000 draws."""
    obp = pytest.importorskip("obp", reason="the prior of the shop's policy comes with obp")
    yaml = pytest.importorskip("yaml")
    prior = yaml.safe_load((Path(obp.__file__).parent / "policy" / "conf" / "prior_bts.yaml").read_text())[campaign]
    return thompson(prior["alpha"], prior["beta"], rng=rng, n_positions=3, draws=100_000, name="BTS")


@pytest.fixture(scope="module", params=list(GOLDEN))
def judged(request: pytest.FixtureRequest, data_dir: Path) -> tuple[str, BanditLog, OffPolicyResult]:
    log = read(data_dir, "random", request.param)
    config = OPEConfig(("ipw", "snipw"))
    return (
        request.param,
        log,
        evaluate_policy(log, published_policy(request.param, np.random.RandomState(12345)), config),
    )


@pytest.mark.realdata
def test_random_logs_give_the_golden_numbers(judged: tuple[str, BanditLog, OffPolicyResult]) -> None:
    campaign, _, found = judged
    ipw, snipw, ess = GOLDEN[campaign]
    assert found["ipw"].value == pytest.approx(ipw, abs=1e-9)
    assert found["snipw"].value == pytest.approx(snipw, abs=1e-10)
    assert found.diagnostics.ess == pytest.approx(ess, abs=0.05)


@pytest.mark.realdata
def test_another_generator_agrees_within_monte_carlo_error(
    judged: tuple[str, BanditLog, OffPolicyResult], data_dir: Path
) -> None:
    campaign, log, found = judged
    draws = 100_000
    again = published_policy(campaign, np.random.default_rng(0))
    once = published_policy(campaign, np.random.RandomState(12345))
    assert isinstance(once.values, np.ndarray)
    spread = np.sqrt(2 * once.values * (1 - once.values) / draws)
    assert np.abs(again.values - once.values).max() <= 5 * spread.max()
    hits = log.reward > 0
    error = (spread[log.position, log.action] / log.propensity)[hits].sum() / len(log)  # an upper bound: all errors add
    value = evaluate_policy(log, again, OPEConfig(("ipw",)))["ipw"].value
    assert value == pytest.approx(found["ipw"].value, abs=3 * error)


@pytest.mark.realdata
def test_a_few_dozen_clicks_are_too_few_for_a_verdict(judged: tuple[str, BanditLog, OffPolicyResult]) -> None:
    _, log, found = judged
    assert log.reward.sum() <= 46  # the sample's clicks
    assert found.diagnostics.reward_ess < 20
    assert found.verdict == "withheld"


@pytest.mark.realdata
def test_the_logged_thompson_policy_for_women_cannot_judge_a_uniform_one(data_dir: Path) -> None:
    log = read(data_dir, "bts", "women")
    found = evaluate_policy(log, Uniform(log.n_actions))
    assert found.diagnostics.max_weight == pytest.approx(21_739, abs=0.5)
    assert found.diagnostics.ess == pytest.approx(2.1, abs=0.05)
    assert found.verdict == "withheld"
    assert any("effective sample size 2.1 of 10,000" in line for line in found.because)
    assert any("one round holds 69% of all weight" in line for line in found.because)


@pytest.mark.realdata
def test_the_estimates_of_obp_are_ours_on_the_sample(data_dir: Path) -> None:
    """Every estimator that both have, with the same predictions."""
    estimators = pytest.importorskip("obp.ope.estimators")
    log, policy = read(data_dir, "random", "men"), published_policy("men", np.random.RandomState(12345))
    clicks = pd.DataFrame({"a": log.action, "r": log.reward}).groupby("a")["r"].mean().reindex(range(34), fill_value=0)
    n = len(log)
    q = np.broadcast_to(clicks.to_numpy()[None, :, None], (n, 34, 3)).copy()
    share = np.broadcast_to(policy.values.T[None], (n, 34, 3))
    found = evaluate_policy(log, policy, model=Given(np.broadcast_to(clicks.to_numpy(), (1, 34))))
    row = {"reward": log.reward, "action": log.action, "pscore": log.propensity, "position": log.position}
    row |= {"action_dist": share, "estimated_rewards_by_reg_model": q}
    for name, theirs in (("dr", "DoublyRobust"), ("sndr", "SelfNormalizedDoublyRobust")):
        assert found[name].value == pytest.approx(getattr(estimators, theirs)().estimate_policy_value(**row), rel=1e-9)
