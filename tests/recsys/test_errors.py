import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import errors
from recsys.errors import MissingExtraError, StylerecError, UnknownIdError, unknown_name
from recsys.extras import require


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("DataError", ValueError),
        ("ConfigError", ValueError),
        ("UnknownIdError", KeyError),
        ("ArtifactError", ValueError),
        ("ImageError", ValueError),
        ("MissingExtraError", ImportError),
    ],
)
def test_each_error_is_ours_and_a_fitting_builtin(name: str, builtin: type[Exception]) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, StylerecError)
    assert issubclass(kind, builtin)
    assert str(kind("k must be >= 1, got 0")) == "k must be >= 1, got 0"


def test_an_unknown_id_reads_as_a_sentence_not_as_a_key() -> None:
    assert str(UnknownIdError("first 'x'")) == "first 'x'"


@given(st.text(max_size=8), st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=6))
def test_every_known_name_is_listed(name: str, known: list[str]) -> None:
    message = unknown_name("metric", name, known)
    assert message.startswith(f"unknown metric {name!r}; ")
    listed = message.split("Known: ", 1)[1]
    assert sorted(listed) == sorted(", ".join(known) or "none")


def test_the_closest_name_comes_first() -> None:
    message = unknown_name("metric", "recal", ["precision", "coverage", "recall"])
    assert "did you mean 'recall'?" in message
    assert message.split("Known: ")[1].startswith("recall")
    assert "did you mean" not in unknown_name("metric", "zzz", ["recall"])


def test_a_missing_package_names_the_command() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'stylerec\[ann\]'") as caught:
        require("no_such_package_anywhere", extra="ann")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_package_that_breaks_while_importing_says_why(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_extra.py").write_text("from math import no_such_function")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match="no_such_function"):
        require("broken_extra", extra="ann")
