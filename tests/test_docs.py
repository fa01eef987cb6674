"""The documentation names every command, key, default, metric and message as the code has it."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import click
import pytest
from doc_pages import DOCS, PAGES, blocks

from cli import main
from evaluation.experiment.decision import RULES
from evaluation.experiment.metrics import GOALS
from evaluation.metrics import BEYOND, FURTHER, METRICS, RANKING, SHARES, Measure
from evaluation.ope.diagnostics import Limits
from evaluation.ope.estimators import ESTIMATORS
from evaluation.ope.result import VERDICTS
from evaluation.ope.slates import SLATE_ESTIMATORS
from evaluation.response.feedback import FeedbackConfig
from evaluation.response.purchases import PurchaseConfig
from evaluation.response.visits import VisitsConfig
from evaluation.simulate import ABConfig
from evaluation.splits import KINDS, SplitConfig
from recsys.rerank.chain import STEPS
from recsys.tuning.space import SPACES
from study.blocks import BlockConfig, FeaturesConfig
from study.config import CatalogConfig, EvaluationConfig, InteractionsConfig, StudyConfig
from style.guard import _BOUNDS, GuardConfig
from style.look import Look, builtin_looks
from style.scene import BACKDROPS, Backdrop, Grade, Shadow

ROOT = DOCS.parent
FOLDERS = ("recsys", "style", "evaluation", "study", "shop")
OURS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
TEXT = {page.name: page.read_text() for page in PAGES}
TABLES = {
    "study.md": {
        "[catalog]": CatalogConfig,
        "[interactions]": InteractionsConfig,
        "[split]": SplitConfig,
        "[features]": FeaturesConfig,
        **{name: resolve_name(target) for name, target in OURS["stylerec.models"].items()},
        "[evaluation]": EvaluationConfig,
        "[ab]": ABConfig,
        "[ab.visits]": VisitsConfig,
        "[ab.purchases]": PurchaseConfig,
        "[ab.feedback]": FeedbackConfig,
    },
    "recommend.md": dict(STEPS),
    "embeddings.md": {"block": BlockConfig},
    "looks.md": {
        "Every key of a look": Look,
        "backdrop": Backdrop,
        "shadow": Shadow,
        "grade": Grade,
        "guard": GuardConfig,
    },
}
CASES = [(page, title, config) for page, tables in TABLES.items() for title, config in tables.items()]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text: str) -> dict[str, list[list[str]]]:
    """Title → rows of each table; the title is the header's first cell, or where that is "key" the heading above."""
    found: dict[str, list[list[str]]] = {}
    heading, title = "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.strip("# `")
        if not line.startswith("|"):
            title = ""
        elif not title:
            first = cells(line)[0].strip("`")
            title = heading if first in ("key", "message") else first
            found[title] = []
        elif not set(line) <= set("|-: "):
            found[title].append(cells(line))
    return found


def commands(group: click.Group = main, before: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        inner = commands(command, f"{before}{name} ") if isinstance(command, click.Group) else [f"{before}{name}"]
        found += inner
    return found


def default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and value == type(value)():
        return {}
    if isinstance(value, tuple):
        return [dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for v in value]
    return value


@pytest.mark.parametrize("command", commands())
def test_every_command_is_shown_and_run(command: str) -> None:
    shown = [b.text for text in TEXT.values() for b in blocks(text) if b.kind == "sh"]
    assert re.search(rf"^stylerec {command} ", "".join(shown), flags=re.M)


def test_only_commands_and_options_that_exist_are_named() -> None:
    options = {o for c in _all_commands(main) for p in c.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    for name, text in TEXT.items():
        for line in re.findall(r"(?:^|`)stylerec ([a-z][^`\n]*)", text, flags=re.M):
            words = line.split()
            assert words[0] in main.commands, f"{name}: stylerec {line}"
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - {"--editable"}:
            assert option in options, f"{name}: {option}"


def _all_commands(command: click.Command) -> list[click.Command]:
    inner = command.commands.values() if isinstance(command, click.Group) else []
    return [command, *(c for child in inner for c in _all_commands(child))]


@pytest.mark.parametrize(("page", "title", "config"), CASES, ids=[title for _, title, _ in CASES])
def test_the_table_of_keys_is_the_dataclass(page: str, title: str, config: type) -> None:
    found = tables(TEXT[page])
    assert title in found, f"{page} has no table headed {title}: key, default, meaning"
    rows = {row[0].strip("`"): row[1] for row in found[title]}
    fields = {f.name: f for f in dataclasses.fields(config) if f.init and not (config is Look and f.name == "name")}
    assert list(rows) == list(fields)
    for name, said in rows.items():
        default = plain(default_of(fields[name]))
        if said == "required":
            assert default is dataclasses.MISSING, name
        elif said == "not set":
            assert default is None, name
        else:
            assert tomllib.loads(f"x = {said.strip('`')}")["x"] == default, name


def test_every_key_of_a_study_file_is_named_on_its_page() -> None:
    text = TEXT["study.md"]
    configs = [StudyConfig, *(config for page, _, config in CASES if page != "recommend.md")]
    keys = {f.name for c in configs for f in dataclasses.fields(c) if f.init} - {"name"}
    tables_of_the_file = {
        "catalog",
        "interactions",
        "split",
        "looks",
        "features",
        "models",
        "rerank",
        "evaluation",
        "ab",
    }
    assert {f.name for f in dataclasses.fields(StudyConfig)} - tables_of_the_file == {"seed"}
    for key in keys - tables_of_the_file:
        assert f"`{key}`" in text, key
    for name in tables_of_the_file:
        assert re.search(rf"^### `\[+{name}[.\]]", text, flags=re.M), name


def test_the_metrics_are_defined_as_in_the_code() -> None:
    found = tables(TEXT["offline.md"])
    for title, measures in (("metric", METRICS), ("share", SHARES)):
        rows = {row[0].strip("`"): row[1:] for row in found[title]}
        assert list(rows) == list(measures)
        for name, (counts, divided_by) in rows.items():
            assert measures[name].definition.startswith(counts), name
            assert measures[name].denominator == divided_by, name


@pytest.mark.parametrize(
    ("title", "measures"), [("metric", RANKING), ("beyond accuracy", BEYOND), ("further", FURTHER)]
)
def test_every_metric_has_its_formula_denominator_range_and_source(title: str, measures: dict[str, Measure]) -> None:
    rows = {row[0].strip("`"): row[1:] for row in tables(TEXT["metrics.md"])[title]}
    assert list(rows) == list(measures)
    for name, (formula, *said) in rows.items():
        low, high = (f"{end:g}" for end in measures[name].range)
        ends = f"[{low}, ∞)" if high == "inf" else f"[{low}, {high}]"
        measure = measures[name]
        assert formula, name
        assert said == [measure.definition, measure.denominator, measure.empty, ends, measure.source or "–"], name


def test_the_ranges_of_tuning_are_those_searched() -> None:
    rows = [tuple(cell.strip("`") for cell in row) for row in tables(TEXT["tune.md"])["model"]]
    assert rows == [(kind, name, str(span)) for kind, space in SPACES.items() for name, span in space.items()]


def test_off_policy_names_and_limits_are_those_of_the_code() -> None:
    found, limits = tables(TEXT["ope.md"]), Limits()
    names = {title: [row[0].strip("`") for row in found[title]] for title in ("estimator", "of pages", "verdict")}
    assert names == {"estimator": list(ESTIMATORS), "of pages": list(SLATE_ESTIMATORS), "verdict": list(VERDICTS)}
    assert {row[0].strip("`"): row[1] for row in found["verdict"]} == VERDICTS
    for (_, said), limit in zip(found["check"], dataclasses.astuple(limits), strict=True):
        assert re.search(rf"\b({limit:g}|{100 * limit:g} %)(?!\d)", said), said


def test_the_lists_of_names_are_complete() -> None:
    offline, looks, stylizers, experiment, recommend, embedded = (
        tables(TEXT[f"{page}.md"])
        for page in ("offline", "looks", "stylizers", "experiment", "recommend", "embeddings")
    )

    def first(rows: list[list[str]]) -> list[str]:
        return [row[0].strip("`") for row in rows]

    assert set(first(recommend["model"])) == set(OURS["stylerec.models"])
    assert first(offline["kind"]) == list(KINDS)
    assert {row[0].strip("`"): row[1] for row in looks["look"]} == {
        n: look.about for n, look in builtin_looks().items()
    }
    assert set(first(stylizers["stylizer"])) == set(OURS["stylerec.stylizers"])
    assert set(first(embedded["encoder"])) == set(OURS["stylerec.encoders"])
    assert set(first(embedded["text encoder"])) == set(OURS["stylerec.text_encoders"])
    assert {reason for *_, reason in _BOUNDS} < set(first(looks["reason"]))
    assert all(f"`{kind}`" in TEXT["looks.md"] for kind in BACKDROPS)
    assert set(first(experiment["verdict"])) == set(RULES)
    assert {row[0].strip("`"): row[1].split(" (delta")[0] for row in experiment["metric"]} == {
        name: goal.definition.split(", [")[0] for name, goal in GOALS.items()
    }


@pytest.mark.parametrize("page", [p for p in TEXT if "## When it goes wrong" in TEXT[p]])
def test_the_messages_are_ones_that_the_code_gives(page: str) -> None:
    source = "".join(_messages(path) for folder in FOLDERS for path in _code(folder))
    for row in tables(TEXT[page])["When it goes wrong"]:
        for message in re.findall(r"`([^`]+)`", row[0]):
            for part in message.split("…"):
                assert part.strip() in source, part


def _code(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _messages(path: Path) -> str:
    """The file with string literals that follow one another joined, and `unknown_name` calls as what they say."""
    joined = re.sub(r"[\"']\s*\n\s*f?[\"']", "", path.read_text())
    return re.sub(r"\{?unknown_name\(f?[\"']", "unknown ", joined)


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "README.md"]:
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.M) if path.suffix == ".md" else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_readme_leads_to_the_documentation() -> None:
    assert "(docs/index.md)" in (ROOT / "README.md").read_text()
    assert {p.name for p in PAGES} - {"index.md"} == set(re.findall(r"\]\((\w+\.md)\)", TEXT["index.md"]))
