"""Keyword rules by hand."""

from pathlib import Path

import pytest

from recsys.errors import ConfigError
from style.classify.weak import Rule, read_rules, weak_labels


def test_whole_words_stars_phrases_and_exceptions() -> None:
    rules = {
        "ethnic": Rule(("kurta*", "salwar suit")),
        "sports": Rule(("run", "track  pants"), without=("kurta*",), weight=3.0),
    }
    titles = ["Red KURTAS", "Salwar   Suit", "Run!", "trunk", "run kurta", "Track pants run", "kurta run salwar", ""]
    made = weak_labels([f"i{i}" for i in range(8)], titles, rules)
    assert made.codes.tolist() == [0, 0, 1, -1, 0, 1, 0, -1]


def test_classes_share_a_title_by_their_weights_and_a_tie_of_all_says_nothing() -> None:
    rules = {"a": Rule(("x",), weight=3.0), "b": Rule(("y",)), "c": Rule(("z",), weight=3.0)}
    made = weak_labels(["1", "2"], ["x y", "q"], rules)
    assert made.targets[0].tolist() == [0.75, 0.25, 0.0]
    assert made.known.tolist() == [True, False]
    assert not weak_labels(["1"], ["x z"], {k: rules[k] for k in "ac"}).known[0]


def test_a_file_of_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[retro]\nwords = ["vintage"]\n[sport]\nwords = ["run*"]\nwithout = ["runway"]\n')
    assert read_rules(file)["sport"] == Rule(("run*",), ("runway",))
    for text, message in {
        '[retro]\nwords = ["x"]': "rules for two classes or more, got \\['retro'\\]",
        "[retro": "is not valid TOML",
        '[a]\nword = ["x"]\n[b]\nwords = ["y"]': "unknown key in \\[a\\] 'word'; did you mean 'words'",
        '[a]\nwords = [" "]\n[b]\nwords = ["y"]': "words that are not blank",
    }.items():
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_rules(file)
    with pytest.raises(ConfigError, match="weight must be above 0, got 0"):
        Rule(("x",), weight=0.0)
