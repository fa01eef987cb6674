"""Style profiles: posterior means and intervals against Dirichlet's, their coverage by simulation, and the command."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from scipy.stats import beta

from cli import main
from recsys.data.ids import IdMap
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError, DataError, UnknownIdError
from study.chain import FITTING
from study.profile import StyleProfiles, profiles_of
from study.run import Study, run_stages
from study.stages.features import table_for
from style.classify.labels import Labels
from style.classify.probe import fit_probe

STYLES = ("minimalist", "plain", "retro", "street")
ALPHA = np.array([1.0, 3.0, 1.5, 0.5])


def drawn(seed: int, n_users: int, blur: float) -> tuple[np.ndarray, np.ndarray, sp.csr_array, np.ndarray]:
    """Users with Dirichlet taste and 1 … 40 items each, whose styles are seen through a blur: truth, n, log, shares."""
    rng = np.random.default_rng(seed)
    taste = rng.dirichlet(ALPHA, n_users)
    n = rng.integers(1, 41, n_users)
    user = np.repeat(np.arange(n_users), n)
    style = (rng.random(len(user))[:, None] > taste[user].cumsum(axis=1)).sum(axis=1).clip(max=3)
    shares = (1 - blur) * np.eye(4)[style] + blur * rng.dirichlet(np.ones(4), len(user))
    log = sp.csr_array((np.ones(len(user), np.float32), (user, np.arange(len(user)))), shape=(n_users, len(user)))
    return (1 - blur) * taste + blur / 4, n, log, shares


@pytest.mark.parametrize(("blur", "level"), [(0.0, 0.95), (0.4, 0.95), (0.0, 0.8)])
def test_so_many_of_the_true_shares_lie_in_their_intervals(blur: float, level: float) -> None:
    truth, n, log, shares = drawn(3, 5000, blur)
    made = StyleProfiles.of(IdMap.of(map(str, range(5000))), STYLES, log, shares, level=level)
    inside = (made.low <= truth) & (truth <= made.high)
    for some in (n <= 5, (n > 5) & (n <= 20), n > 20):
        assert inside[some].mean() == pytest.approx(level, abs=0.02)
    width = (made.high - made.low).mean(axis=1)
    assert width[n <= 5].mean() > 1.5 * width[n > 20].mean()


def test_certain_styles_give_the_posterior_of_a_dirichlet_prior() -> None:
    _, n, log, shares = drawn(5, 20000, 0.0)
    made = StyleProfiles.of(IdMap.of(map(str, range(20000))), STYLES, log, shares)
    assert made.prior == pytest.approx(ALPHA.sum(), rel=0.05)  # 20,000 users tell the prior to some 2 %
    assert made.average == pytest.approx(ALPHA / ALPHA.sum(), abs=0.01)
    a = ALPHA + log @ shares
    assert made.share == pytest.approx(a / (n + 6)[:, None], abs=0.02)
    exact = beta.ppf(0.975, a, (n + 6)[:, None] - a)
    assert made.high == pytest.approx(exact, abs=0.03)


def test_users_who_do_not_differ_have_the_average_and_items_of_unknown_style_are_no_evidence() -> None:
    rng = np.random.default_rng(0)
    log = sp.csr_array(np.ones((50, 60), np.float32))
    shares = np.eye(2)[rng.integers(0, 2, 60)]
    shares[:10] = 0
    log[0, :] = 0
    log.eliminate_zeros()
    made = StyleProfiles.of(IdMap.of(map(str, range(50))), ("a", "b"), log, shares)
    assert made.items.tolist() == [0, *[50] * 49]
    assert made.share[0] == pytest.approx(made.average)
    assert np.ptp(made.share[1:], axis=0).max() < 1e-12
    assert made.to_text("0").startswith("Nothing is known of 0's style yet")


def test_it_reads_as_words() -> None:
    users = IdMap.of(["ann", *map(str, range(200))])
    rng = np.random.default_rng(1)
    taste = np.r_[[0.9], rng.beta(2, 2, 200)]
    shares = np.zeros((201 * 20, 2))
    retro = rng.random((201, 20)) < taste[:, None]
    shares[np.arange(len(shares)), retro.ravel().astype(int)] = 1
    log = sp.csr_array(np.kron(np.eye(201), np.ones((1, 20))).astype(np.float32))
    made = StyleProfiles.of(users, ("plain", "retro"), log, shares)
    text, frame = made.to_text("ann"), made.to_frame("ann")
    assert frame["style"].tolist() == ["retro", "plain"]
    assert text.startswith(f"From 20 items: {frame['share'][0]:.0%} retro (")
    assert text.endswith("Surely more retro and less plain than the average customer.")


def test_what_is_wrong_is_named() -> None:
    log, users = sp.csr_array(np.ones((2, 2), np.float32)), IdMap.of("ab")
    with pytest.raises(ConfigError, match="level must be between 0 and 1, got 95"):
        StyleProfiles.of(users, ("x",), log, np.ones((2, 1)), level=95)
    with pytest.raises(DataError, match="values in 0 … 1"):
        StyleProfiles.of(users, ("x",), log, np.full((2, 1), np.nan))
    with pytest.raises(DataError, match="2 users with 2 items of a known style, got 0"):
        StyleProfiles.of(users, ("x",), log, np.array([[1.0], [0.0]]))
    with pytest.raises(UnknownIdError, match="zoe"):
        StyleProfiles.of(users, ("x",), log, np.ones((2, 1))).to_frame("zoe")
    with pytest.raises(ConfigError, match="either a classifier of styles or a column"):
        profiles_of(Path("nowhere"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 items of two categories; u0 has 12 shoes, the others items at random."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(40)], "category": ["bag", "shoe"] * 20})
    items.to_csv(folder / "items.csv", index=False)
    pairs = [("u0", 2 * i + 1) for i in range(12)] + [(f"u{u}", i) for u in range(1, 30) for i in rng.choice(40, 8)]
    log = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(timestamp="2024-01-01")
    log.assign(item_id="i" + log["item_id"].astype(str)).to_csv(folder / "log.csv", index=False)
    off = "\n".join(f"[models.{name}]\nenabled = false" for name in ("als", "content", "hybrid"))
    text = '[catalog]\npath = "items.csv"\n[interactions]\npath = "log.csv"\n[features]\nblocks = ["category"]\n'
    (folder / "study.toml").write_text(text + off)
    run_stages(Study.create(folder / "study.toml", folder / "run"), FITTING, say=lambda line: None)
    return folder / "run"


def test_the_command_answers_words_and_a_table(run: Path) -> None:
    said = CliRunner().invoke(main, ["profile", str(run), "u0", "--column", "category"])
    assert said.exit_code == 0, said.output
    assert said.output.startswith("From 12 items: ")
    told = json.loads(CliRunner().invoke(main, ["profile", str(run), "u0", "--column", "category", "--json"]).stdout)
    assert [row["style"] for row in told["styles"]] == ["shoe", "bag"]
    assert told["items"] == 12  # that many shoes, counted above
    shoe = told["styles"][0]
    assert shoe["average"] < shoe["share"] < 1  # 12 of 12, drawn towards the average
    assert shoe["low"] < shoe["share"] < shoe["high"]
    refused = CliRunner().invoke(main, ["profile", str(run), "u0", "--column", "categry"])
    assert refused.exit_code == 2
    assert "did you mean 'category'?" in refused.output


def test_a_classifier_of_the_studys_blocks_gives_the_styles(run: Path, tmp_path: Path) -> None:
    study = Study.open(run)
    table = table_for(study, ORIGINAL)
    truth = np.where(np.arange(40) % 2, "sporty", "formal")  # a style that the category tells
    fit_probe(table, Labels.of(table.ids, truth)).save(tmp_path)
    by_classifier, by_column = profiles_of(run, classifier=tmp_path), profiles_of(run, column="category")
    assert by_classifier.styles == ("formal", "sporty")
    assert np.corrcoef(by_classifier.share[:, 1], by_column.share[:, 1])[0, 1] > 0.99
