"""The study file: defaults, suggestions, and values that are refused."""

from pathlib import Path

import pytest

from recsys.errors import ConfigError
from study.config import parse_study, read_study

MINIMAL = '[catalog]\npath = "items.csv"\n[interactions]\npath = "sales.csv"\n'


def test_minimal_file_has_every_default() -> None:
    study = parse_study(MINIMAL)
    assert list(study.make_looks(Path())) == ["retro", "minimalist"]
    assert list(study.make_models()) == ["popularity", "als", "content", "hybrid"]
    assert study.split.quantile == 0.8
    assert study.evaluation.k == (10, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[catalogue]\n", "did you mean 'catalog'"),
        (MINIMAL + "[split]\nquantil = 0.7\n", "did you mean 'quantile'"),
        (MINIMAL + '[split]\nquantile = "most"\n', "split.quantile must be float"),
        (MINIMAL + "[evaluation]\nk = [0]\n", "k must list numbers >= 1"),
        (MINIMAL + "[evaluation]\nk = 10\n", "must be a list"),
        ("[catalog]\n", "misses"),
        ("[catalog\n", "not valid TOML"),
        ("seed = -1\n" + MINIMAL, "seed must be >= 0"),
        (MINIMAL + "[features]\nblocks = []\n", "content.* needs feature blocks"),
        ('[catalog]\npath = "$NO_SUCH_VARIABLE/x.csv"\n', "environment variable"),
    ],
)
def test_wrong_files_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_study(text)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[models.hybird]\n", "unknown model 'hybird'; did you mean 'hybrid'"),
        ("[models.hybrid]\nfactor = 3\n", "did you mean 'factors'"),
        ("[looks.retroo]\n", "retroo"),
        ("[looks.retro]\nstrengt = 1.0\n", "strengt"),
    ],
)
def test_models_and_looks_are_checked_when_the_file_is_read(tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(MINIMAL + table)
    with pytest.raises(ConfigError, match=message):
        read_study(path)


def test_models_can_be_renamed_tuned_and_dropped() -> None:
    text = MINIMAL + '[models.als]\nenabled = false\n[models.wide]\nkind = "hybrid"\nfactors = 16\n'
    models = parse_study(text).make_models()
    assert list(models) == ["popularity", "content", "hybrid", "wide"]
    assert models["wide"].factors == 16  # type: ignore[attr-defined]


def test_environment_variables_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "/srv/shop")
    study = parse_study('[catalog]\npath = "$SHOP/items.csv"\n[interactions]\npath = "sales.csv"\n')
    assert study.catalog.path == "/srv/shop/items.csv"
