"""Looks by name or from a file."""

from pathlib import Path

import pytest

from recsys.errors import ConfigError
from study.pictures import choose_looks


def test_a_file_of_looks_has_their_names_as_tables(tmp_path: Path) -> None:
    file = tmp_path / "looks.toml"
    file.write_text("[retro]\n[calm]\nregion = 'background'\ngrade = { grain = 3 }\n")
    assert [look.name for look in choose_looks((), file)] == ["retro", "calm"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[retro", "looks.toml is not valid TOML"),
        ("[looks.retro]", r"a table is called \[name\]; \[looks.name\] belongs in a study file"),
        ("[sepia]", "unknown look 'sepia'"),
    ],
)
def test_what_is_wrong_with_a_file_of_looks_is_said(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "looks.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        choose_looks((), file)


def test_an_unknown_look_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown look 'retr'; did you mean 'retro'"):
        choose_looks(["retr"], None)
