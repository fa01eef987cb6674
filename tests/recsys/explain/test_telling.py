"""An explanation in words and as a picture says what the parts say, and no more."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from recsys.errors import ConfigError
from recsys.explain.contributions import ANYTHING, AVERAGE, EVERYONE, ITSELF, Contributions, Term
from recsys.explain.explanation import Explanation
from recsys.explain.picture import AGAINST, FOR, SHOWN

PAST = tuple(Term("past item", name) for name in "abcd")


def explained(users, items, values, usual=None) -> Explanation:
    values = np.asarray(values, float)
    usual = np.zeros(len(values)) if usual is None else np.asarray(usual, float)
    return Explanation("hybrid", "u", "x", float(values.sum()), Contributions(users, items, values, usual))


def test_the_past_items_that_give_most_are_named() -> None:
    e = explained(
        (EVERYONE, *PAST),
        (ITSELF, Term("feature", "category=bag")),
        [[0.1, 0], [0.5, 0.5], [0.8, 0], [0.1, 0], [-1, 0]],
    )
    assert e.to_text({"a": "Coat", "b": "Scarf"}) == (
        "Mostly because you bought Coat and Scarf. It also fits your liking for bag (category)."
    )
    assert e.to_text(words={"category=bag": "bags"}, bought="looked at").endswith("your liking for bags.")


def test_what_all_items_share_is_no_reason() -> None:
    """A bias of 3 that the average item has as well says nothing; 0.2 more than the average says something."""
    rows = [[3.0], [0.5], [0.1], [0], [0]]
    e = explained((EVERYONE, *PAST), (ITSELF,), rows, [3.0, 0, 0, 0, 0])
    assert e.to_text() == "Mostly because you bought a. Nothing else speaks for x more than for other products."
    popular = explained((EVERYONE, *PAST), (ITSELF,), rows, [2.0, 0, 0, 0, 0])
    assert popular.to_text() == "Mostly because many customers choose it. Also because you bought a."


def test_nothing_speaks_for_it() -> None:
    e = explained(PAST[:1], (ITSELF,), [[-1.0]])
    assert e.to_text({"x": "Hat"}).startswith("Nothing we know of you speaks for Hat")


def test_strangers_are_told_so() -> None:
    e = explained((AVERAGE,), (ITSELF,), [[1.0]])
    assert "of your own taste we know nothing yet" in e.to_text()


@pytest.mark.parametrize("kind", ["id", "feature"])
def test_every_text_is_two_sentences(kind: str) -> None:
    e = explained((Term(kind, "segment=young"),), (ANYTHING, ITSELF), [[0.5, 1.0]])
    assert e.to_text().count(". ") == 1
    assert e.to_text().endswith(".")


MANY = explained(
    tuple(Term("past item", f"{i} <&> $x$ 日本 👗") for i in range(20)),
    (ITSELF, Term("feature", "look")),
    np.linspace(-1, 2, 40).reshape(20, 2),
)


def test_bars_add_up_to_the_score_and_the_small_ones_are_one() -> None:
    axes = MANY.to_figure("user").axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert len(widths) == SHOWN
    assert sum(widths) == pytest.approx(MANY.score)
    assert [t.get_text() for t in axes.get_yticklabels()][-1] == "9 smaller ones"


def test_for_and_against_differ_in_colour_hatching_and_side() -> None:
    for bar in MANY.to_figure("both").axes[0].patches:
        colour = to_hex(bar.get_facecolor()).upper()
        assert (colour, bar.get_hatch()) == ((FOR, "") if bar.get_width() >= 0 else (AGAINST, "///"))


def test_long_names_stay_inside_the_picture() -> None:
    long = explained((EVERYONE,), (ITSELF,), [[1.0]])
    figure = Explanation("feature-als", "f" * 64, "x", 1.0, long.table).to_figure(titles={"x": "Winter Coat " * 20})
    figure.draw_without_rendering()
    box = figure.texts[0].get_window_extent()
    assert 0 < box.x0 < box.x1 < figure.bbox.x1
    assert "…" in figure.texts[0].get_text()


@pytest.mark.parametrize(
    ("value", "shown"), [(9_000_000.0, "+9,000,000"), (-1234.5, "-1,234"), (0.5, "+0.500"), (-3.217e-6, "-0.00000322")]
)
def test_numbers_have_the_digits_that_their_size_needs(value: float, shown: str) -> None:
    axes = explained((EVERYONE,), (ITSELF,), [[value]]).to_figure().axes[0]
    assert [t.get_text() for t in axes.texts] == [shown]
    assert axes.get_xlabel() == f"adds to the score: {shown.removeprefix('+')} in all"


def test_an_svg_holds_the_text_in_any_script_and_a_text_alternative(tmp_path: Path) -> None:
    path = tmp_path / "bars.svg"
    MANY.draw(path, "user", {"x": "Käse & Brot <b>"})
    root = ElementTree.parse(path).getroot()  # well formed, whatever the titles
    title, about = root[0], root[1]
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", f"{title.get('id')} {about.get('id')}")
    assert "Käse & Brot <b>" in (title.text or "")
    numbers = re.findall(r"[+-]\d+\.\d{3}", about.text or "")
    assert sum(map(float, numbers)) == pytest.approx(MANY.score, abs=0.001 * len(numbers))
    assert "日本 👗" in path.read_text()
    assert not re.search(r"@\d+@", path.read_text())
    before = path.read_bytes()
    MANY.draw(path, "user", {"x": "Käse & Brot <b>"})
    assert path.read_bytes() == before


def test_a_png_has_the_text_alternative_as_metadata(tmp_path: Path) -> None:
    MANY.draw(tmp_path / "bars.png", "user")
    with Image.open(tmp_path / "bars.png") as image:
        assert image.info["Description"].startswith("Why x for customer u?")


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.svg or \.png, got bars\.gif"):
        MANY.draw(tmp_path / "bars.gif")
    assert not list(tmp_path.iterdir())
