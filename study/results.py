"""What a finished study says: its numbers, gathered, and its headline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.report.verdict import decision
from recsys.errors import ArtifactError
from recsys.files import read_json
from study.folder import StudyFolder

RANKING = ("recall", "ndcg", "hit_rate", "coverage")


def metrics(folder: StudyFolder) -> dict[str, Any]:
    """Every number of the report (``metrics.json``).

    Raises:
        ArtifactError: There is none yet.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist: the study did not run to its end; use `stylerec run`")
    found: dict[str, Any] = read_json(path)
    return found


def headline(folder: StudyFolder) -> str:
    """A finished study in a few lines."""
    found = metrics(folder)
    lines = [_offline_line(found.get("offline") or {}), *_ab_lines(found)]
    return "\n".join([*(line for line in lines if line), f"report: {folder / 'report.html'}"])


def _offline_line(offline: dict[str, Any]) -> str:
    if not offline.get("rows"):
        return ""
    k = max(offline["ks"])
    rows = [r for r in offline["rows"] if r["metric"] == "recall" and r["k"] == k]
    parts = []
    for segment in ("all", "warm", "cold"):
        best = max(
            (r for r in rows if r["segment"] == segment and r["value"] is not None),
            key=lambda r: r["value"],
            default=None,
        )
        few = best is not None and offline["segments"][segment]["candidates"] <= 2 * k
        if few:
            parts.append(f"{segment} – (too few candidates to tell at k = {k})")
        elif best is not None:
            parts.append(f"{segment} {best['value']:.4f} ({best['model']} / {best['features']})")
    return f"best recall@{k}: " + ", ".join(parts)


def _ab_lines(found: dict[str, Any]) -> list[str]:
    told = decision(found)
    if told is None:
        return []
    kind = "A/B" if found.get("experiment") else "simulated A/B"
    rule = told.rule[:1].lower() + told.rule[1:]
    return [line for line in (f"{kind}: {rule}", *(f"  {why}" for why in told.because), told.assumption) if line]


def offline_rows(offline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An offline comparison as rows for a table: every segment, group, model, metric and list length.

    ``of`` says of what (a space, a group, a stratum) where a metric is of several.
    """
    return [row for name in ("rows", "groups", "beyond", "further") for row in offline.get(name, [])]


def offline_ranking(offline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The longest lists only: a row a segment and model, by recall."""
    rows = offline.get("rows", [])
    k = max((r["k"] for r in rows if r["k"] is not None), default=0)
    wide: dict[tuple[str, str, str], dict[str, Any]] = {}
    for r in rows:
        if r["k"] == k and r["metric"] in RANKING:
            key = (r["segment"], r["model"], r["features"])
            row = wide.setdefault(key, dict(zip(("segment", "model", "features"), key, strict=True)))
            row[f"{r['metric']}@{k}"] = r["value"]
            if r["metric"] == "recall":
                row |= {"low": r.get("low"), "high": r.get("high"), "users": r["n_users"]}
    order = {name: i for i, name in enumerate(("all", "warm", "cold"))}
    return sorted(wide.values(), key=lambda row: (order.get(row["segment"], 9), -(row.get(f"recall@{k}") or 0)))


BEYOND = (
    ("novelty", ""),
    ("arp", ""),
    ("popularity_lift", ""),
    ("gini", ""),
    ("personalisation", ""),
    ("intra_list_distance", "style"),
    ("intra_list_distance", "category"),
    ("serendipity", "style"),
    ("calibration", "style"),
    ("calibration", "category"),
    ("snips", "recall"),
)


def offline_beyond(offline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the longest lists are like beyond accuracy: a row a segment and model, in the order of the comparison."""
    k = max(offline.get("ks", []), default=0)
    wide: dict[tuple[str, str, str], dict[str, Any]] = {}
    for r in (*offline.get("beyond", []), *offline.get("further", [])):
        if r["k"] == k and (r["metric"], r["of"]) in BEYOND:
            key = (r["segment"], r["model"], r["features"])
            row = wide.setdefault(key, dict(zip(("segment", "model", "features"), key, strict=True)))
            row[r["metric"] + (f" {r['of']}" if r["of"] else "")] = r["value"]
    names = [metric + (f" {of}" if of else "") for metric, of in BEYOND]
    shown = [name for name in names if any(name in row for row in wide.values())]
    keys = ("segment", "model", "features")
    return [{key: row[key] for key in keys} | {name: row.get(name) for name in shown} for row in wide.values()]


def experiment_rows(ab: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a simulated test as rows for a table, the true relative effect beside each estimate."""
    keys = ("metric", "method", "control", "treatment", "relative", "relative_low", "relative_high", "p_value")
    truth = ab.get("truth", {})
    return [
        {key: row.get(key) for key in keys} | {"true_relative": truth.get(row["metric"], {}).get("relative")}
        for row in ab.get("results", [])
    ]


def experiment_words(ab: dict[str, Any]) -> str:
    """What was assumed, what came out, and why."""
    if not ab:
        return "the study has no looks to test; name some under [looks], give it photos, and run it again"
    design = ab["design"]
    assumed = (
        f"assumed: style effect {design['style_effect']:+g} on the log-odds of a click, minus "
        f"{design['recognisability_penalty']:g} per unit of recognisability lost; {design['units']} customers"
    )
    decision = ab["decision"]
    because = [*(f"  {why}" for why in decision["because"]), *_feedback_lines(ab.get("feedback"))]
    return "\n".join([assumed, decision["rule"], *because, ab["assumption"]])


def _feedback_lines(feedback: Mapping[str, Any] | None) -> list[str]:
    if not feedback or feedback["truth"] is None or feedback["test"] is None:
        return []
    return [
        f"lists retrained on what was shown, {len(feedback['rounds'])} rounds: a roll-out gains "
        f"{feedback['truth']:+.1%} clicks; a test whose arms share one recommender is expected to report "
        f"{feedback['test']:+.1%}"
    ]
