"""Colours that everybody can read, by the contrast formula of WCAG 2.2."""

import re
from pathlib import Path

import pytest

import evaluation.report

CSS = Path(evaluation.report.__file__).with_name("report.css").read_text("utf-8")
SCHEMES = [
    dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)  # WCAG's extreme
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known grey that just fails


@pytest.mark.parametrize("scheme", SCHEMES[:2], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card", "tile"])
@pytest.mark.parametrize("text", ["ink", "muted", "up", "down", "flat", "truth"])
def test_text_stands_out(scheme: dict[str, str], ground: str, text: str) -> None:
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES[:2], ids=["light", "dark"])
def test_tags_stand_out(scheme: dict[str, str]) -> None:
    assert contrast(scheme["ink"], scheme["tint"]) >= 4.5
