"""Boards of any size for the page: numbers from a seed, frames as the steps before the page write them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from io import BytesIO
from itertools import combinations, cycle
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import norm

from leakboard.measurements import COLUMNS as FIELDS
from leakboard.measures.ranking import COLUMNS, COSTS
from leakboard.report.page import Board

RANKED = ("copy_rate", "weights_auc", "predictor_auc", "images_auc")
ACCESS = ("weights", "predictor", "images")
ROLES = {
    "none": "undefended",
    "copy-machine": "copy-machine",
    "never-saw-members": "never-saw-members",
    "noise": "noise",
    "early-stop": "early-stop",
}
KNOWN = ["cpsample", "rejection", "amg.strong", "kd", "distillmd", "average", "dualmd", "half-data"]
SPACE, QUALITY = "local-sscd", "local-classifier"
CONTENDERS = (
    {"attack": "random", "sees": "images", "keeps": ""}
    | {"metric": f"copy:{SPACE}", "plain": f"copy:{SPACE}"},
    {"attack": "side", "sees": "predictor", "keeps": ""}
    | {"metric": f"copy:{SPACE}:best", "plain": f"copy:{SPACE}:best-random"},
)
GATE = 3.0


def sha(*words: object) -> str:
    """A digest as long as the real ones."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def names(defenses: int) -> list[str]:
    """The controls, then as many contestants as are left, the known ones first."""
    more = (f"defense-{i:02d}" for i in range(defenses))
    return [*ROLES, *KNOWN, *more][:defenses]


def pairs(attacks: int) -> list[tuple[str, str]]:
    """(attack, sees), the accesses in turn."""
    stems = ["sima", "loss", "secmi", "pia", "pian", "adaptive", "one-step", "reconstruction"]
    stems += [f"attack-{i:02d}" for i in range(attacks)]
    turns = cycle(ACCESS)
    return [(stems[i // 2], next(turns)) for i in range(attacks)]


def board(
    track: str = "digits",
    defenses: int = 9,
    attacks: int = 8,
    seed: int = 0,
    *,
    called: list[str] | None = None,
    tried: list[tuple[str, str]] | None = None,
    about: str = "A small diffusion model is fine-tuned on 100 scanned digits until it copies "
    "them. Which of them does it leak, and which defense stops that?",
) -> Board:
    """One track: defenses x attacks with everything that the page shows of them."""
    rng = np.random.default_rng([seed, defenses, attacks])
    who, how = called or names(defenses), tried or pairs(attacks)
    rows, table = [], []
    for place, name in enumerate(who):
        mine, line = _defense(track, name, place, how, rng)
        rows += mine
        table.append(line)
    rows += _track(track, rng)
    frame = pd.DataFrame(table).sort_values(
        ["role", "copy_rate_high"], key=lambda s: s if s.name != "role" else s.ne("undefended")
    )
    frame = frame.reset_index(drop=True)
    frame["fid_ratio"] = frame["fid"] / frame.loc[frame["role"] == "undefended", "fid"].iloc[0]
    return completed(track, about, frame, pd.DataFrame(rows).reindex(columns=FIELDS), seed)


def completed(
    track: str, about: str, table: pd.DataFrame, measurements: pd.DataFrame, seed: int = 0
) -> Board:
    """A board whose comparisons, ranks, controls and drawings follow from its table."""
    rng = np.random.default_rng([seed, len(table)])
    ruined = table["fid_ratio"] > GATE
    words = [
        "a control"
        if role != "contestant"
        else f"ruined: its FID is {ratio:.3g} times that of none, at most {GATE:g} times is allowed"
        if bad
        else ""
        for role, ratio, bad in zip(table["role"], table["fid_ratio"], ruined, strict=True)
    ]
    table = table.assign(unranked=words)
    comparisons = compared(track, table)
    table = ranked(table, comparisons)
    controls = _controls(track, table, measurements)
    reasons = controls.loc[~controls["passed"], "words"].tolist()
    smallest = {
        "copy_rate": {"value": 0.031, "words": "Copy rates that differ by 3.1 points"},
        "weights_auc": {"value": 0.06, "words": "AUCs on the weights that differ by 0.060"},
        "predictor_auc": {"value": 0.058, "words": "AUCs on the predictor that differ by 0.058"},
        "images_auc": {"value": 0.071, "words": "AUCs on the images that differ by 0.071"},
    }
    verdict = {
        "track": track,
        "valid": not reasons,
        "complete": True,
        "reasons": reasons,
        "missing": [],
        "warnings": ["one seed: intervals cover other images, not other trainings"],
        "smallest": smallest,
    }
    return Board(
        track=track,
        about=about,
        table=table,
        measurements=measurements,
        trainings=_trainings(),
        comparisons=comparisons,
        controls=controls,
        verdict=verdict,
        reported=_reported(track),
        cells=_cells(track, measurements),
        config=_config(table, measurements),
        curves=_curves(measurements),
        histograms=_histograms(table, rng),
        gallery=_gallery(table, rng),
        contenders=CONTENDERS,
        gate=GATE,
    )


def _defense(
    track: str, name: str, place: int, how: list[tuple[str, str]], rng: np.random.Generator
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The measurements of one defense, and its line of the leaderboard."""
    role = ROLES.get(name, "contestant")
    leak = {"undefended": 0.9, "copy-machine": 1.0, "never-saw-members": 0.0, "noise": 0.0}.get(
        role, float(rng.beta(1.2, 2.0))
    )
    about = {"track": track, "seed": 0, "defense": name, "status": "ok"}
    plain = {**about, "sampler": "plain"}
    n = 1000
    copies = min(max(leak * 0.3 + rng.normal(0, 0.01), 0.0), 1.0) if leak else 0.0
    fid = float(np.exp(rng.normal(0, 0.35))) * {"noise": 19.5, "copy-machine": 0.2}.get(role, 1.0)
    rows = [
        _row(plain, f"copy_rate:{SPACE}", _share(copies, n), n, "share", "lower"),
        _row(plain, f"fid:{QUALITY}", (fid, fid * 0.85, fid * 1.15), n, "", "lower"),
        _row(plain, f"kid:{QUALITY}", (fid / 80, np.nan, np.nan), n, "", "lower"),
        _row(plain, "memorization_ratio:pixels", _share(copies / 3, n), n, "share", "lower"),
        _row(plain, "nl2<1.4:pixels", _share(copies * 1.3, n), n, "share", "lower"),
        *(
            _row(plain, f"copy_rate>{t}:{SPACE}", _share(copies * t, n), n, "share", "lower")
            for t in (0.4, 0.5, 0.9, 0.95)
        ),
    ]
    line: dict[str, Any] = {"track": track, "defense": name, "role": role, "seeds": 1}
    for key, row in zip(("copy_rate", "fid", "kid", "memorized", "nl2"), rows, strict=False):
        line |= _ends(key, row)
    for attack, sees, metric, value in (
        ("random", "images", f"copy:{SPACE}", copies),
        ("side", "predictor", f"copy:{SPACE}:best", min(copies * 2.1, 1)),
        ("side", "predictor", f"copy:{SPACE}:best-random", copies),
    ):
        note = "lambda = 6, chosen on the other half" if metric.endswith("best") else ""
        drawn = {**about, "attack": attack, "sees": sees, "sampler": "", "note": note}
        for score, share in (("ams", value), ("ums", value / 2)):
            rows.append(
                _row(drawn, f"{score}:{metric}", _share(share, 250), 250, "share", "lower")
            )
    for score, row in (("ams", rows[-4]), ("ums", rows[-3])):
        line |= _ends(f"extracted_{score}", row)
        line[f"extracted_{score}_attack"] = "side, lambda = 6"
    line["extracted_ums_note"] = "N = 250"
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for attack, sees in how:
        signal = leak * {"weights": 2.6, "predictor": 2.0, "images": 1.2}[sees] * rng.uniform(0.4, 1)
        auc = float(norm.cdf(signal / np.sqrt(2) + rng.normal(0, 0.02)))
        half = 1.96 * np.sqrt(max(auc * (1 - auc), 1e-4) / 60)
        spec = {**about, "attack": attack, "sees": sees, "sampler": ""}
        ends = auc, max(auc - half, 0.0), min(auc + half, 1.0)
        rows.append(_row(spec, "auc", ends, 550, "probability", "chance"))
        worst = abs(auc - 0.5), rows[-1]
        best[sees] = max(best.get(sees, worst), worst, key=lambda each: each[0])
        tpr = float(norm.cdf(signal - 2.33))
        for metric, value in (
            ("tpr@1%fpr", tpr),
            ("tpr@0.1%fpr", tpr / 4),
            ("asr", (1 + auc) / 2),
            ("tpr@1%fpr:dev-threshold", tpr * 0.97),
            ("fpr:dev-threshold", 0.011),
            ("asr:dev-threshold", auc),
        ):
            rows.append(_row(spec, metric, _share(value, 500), 550, "share", "lower"))
        rows.append(_row(spec, "z", (signal * 3, np.nan, np.nan), 550, "z", "lower"))
        line[f"{sees}_tpr"] = max(line.get(f"{sees}_tpr", 0.0), tpr)
    for sees, (_, row) in best.items():
        line |= _ends(f"{sees}_auc", row)
        line |= {f"{sees}_attack": row["attack"], f"{sees}_note": ""}
    costs = 60 + 90 * rng.random(), 6 + 9 * rng.random(), 1 + rng.random(), 500 + 90 * rng.random()
    line |= dict(zip(COSTS, costs, strict=True))
    line |= {"samples": n, "audited": 550, "status": "complete", "paper": "", "caveat": ""}
    if name in KNOWN:
        line |= {"paper": "Authors, A Paper, ICLR 2025", "caveat": "acts while sampling, so whoever "
                 "holds the weights sees the undefended network"}
    if role == "contestant":
        gain = copies - 0.12
        line |= {"early_stop": "early-stop", "early_stop_difference": gain}
        line |= {"early_stop_low": gain - 0.03, "early_stop_high": gain + 0.03}
        line |= {"early_stop_p": float(2 * norm.sf(abs(gain) / 0.015))}
    return rows, line


def _row(
    about: dict[str, Any], metric: str, ends: tuple[float, float, float], n: int, unit: str, to: str
) -> dict[str, Any]:
    value, low, high = map(float, ends)
    told = {"metric": metric, "value": value, "ci_low": low, "ci_high": high}
    key = (about.get(k, "") for k in ("track", "defense", "attack", "sees", "sampler"))
    return {"note": "", **about, **told, "n": n, "unit": unit, "better": to} | {
        "digest": sha(*key)[:16]
    }


def _share(value: float, n: int) -> tuple[float, float, float]:
    value = round(min(max(value, 0.0), 1.0) * n) / n
    half = 1.96 * np.sqrt(max(value * (1 - value), 1 / n) / n)
    return value, max(value - half, 0.0), min(value + half, 1.0)


def _ends(key: str, row: dict[str, Any]) -> dict[str, float]:
    return {key: row["value"], f"{key}_low": row["ci_low"], f"{key}_high": row["ci_high"]}


def _track(track: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """What is measured of the track alone: the split, and the blind attack."""
    about = {"track": track, "seed": 0, "defense": "", "status": "ok"}
    blind = {**about, "attack": "blind", "sees": "nothing"}
    return [
        _row(about, "self_similarity:pixels", (1.0, np.nan, np.nan), 100, "", ""),
        _row(blind, "auc", (0.471, 0.39, 0.553), 550, "probability", "chance"),
    ]


def leak(values: pd.Series, column: str) -> pd.Series:
    """How much a number gives away: a rate itself, an AUC its distance from one half."""
    return values if column == "copy_rate" else (values - 0.5).abs()


def compared(track: str, table: pd.DataFrame) -> pd.DataFrame:
    """Every pair of rows in every ranked column, from the intervals, Holm within each family."""
    found = []
    rows = table.to_dict("records")
    for column in RANKED:
        here = []
        for a, b in combinations([r for r in rows if np.isfinite(r.get(column, np.nan))], 2):
            each = [
                (
                    float(leak(pd.Series([r[column]]), column).iloc[0]),
                    (r[f"{column}_high"] - r[f"{column}_low"]) / 3.92,
                )
                for r in (a, b)
            ]
            gap, error = each[0][0] - each[1][0], float(np.hypot(each[0][1], each[1][1])) or 1e-9
            ranks = not a["unranked"] and not b["unranked"]
            family = (
                "ranked" if ranks else "none" if "undefended" in (a["role"], b["role"]) else ""
            )
            sees = column.removesuffix("_auc")
            here.append(
                {"track": track, "column": column, "a": a["defense"], "b": b["defense"]}
                | {"attack_a": a.get(f"{sees}_attack", ""), "attack_b": b.get(f"{sees}_attack", "")}
                | {"value_a": a[column], "value_b": b[column], "difference": gap}
                | {"ci_low": gap - 1.96 * error, "ci_high": gap + 1.96 * error}
                | {"p": float(2 * norm.sf(abs(gap) / error)), "n": 550, "family": family}
            )
        frame = pd.DataFrame(here)
        if len(frame):
            frame["p_holm"] = np.nan
            for family in ("ranked", "none"):
                mine = frame["family"] == family
                frame.loc[mine, "p_holm"] = holm(frame.loc[mine, "p"].to_numpy())
            frame["verdict"] = [
                "" if not f else "tied" if p > 0.05 else "lower" if d < 0 else "higher"
                for f, p, d in zip(
                    frame["family"], frame["p_holm"], frame["difference"], strict=True
                )
            ]
            found.append(frame)
    order = ["track", "column", "a", "b", "attack_a", "attack_b", "value_a", "value_b"]
    order += ["difference", "ci_low", "ci_high", "p", "p_holm", "n", "family", "verdict"]
    return pd.concat(found, ignore_index=True)[order] if found else pd.DataFrame(columns=order)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values."""
    order = np.argsort(p)
    steps = p[order] * (len(p) - np.arange(len(p)))
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return out


def ranked(table: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """The table with rank intervals and tie groups, overall and of each ranked column."""
    table = table.copy()
    inside = table.loc[table["unranked"] == "", "defense"].tolist()
    better: dict[str, set[tuple[str, str]]] = {column: set() for column in RANKED}
    for row in comparisons[comparisons["family"] == "ranked"].itertuples():
        if row.verdict != "tied":
            pair = (row.a, row.b) if row.verdict == "lower" else (row.b, row.a)
            better[row.column].add(pair)
    every = set().union(*better.values())
    overall = {(a, b) for a, b in every if not any((b, a) in better[c] for c in RANKED)}
    for prefix, wins in {"": overall, **{f"{c}_": better[c] for c in RANKED}}.items():
        low = {b: 1 + sum((a, b) in wins for a in inside) for b in inside}
        high = {a: len(inside) - sum((a, b) in wins for b in inside) for a in inside}
        kind = ("rank_low", "rank_high", "group")
        for key, found in zip(kind, (low, high, letters(inside, wins)), strict=True):
            table[f"{prefix}{key}"] = table["defense"].map(found)
    for column in RANKED:
        mine = comparisons[(comparisons["family"] == "none") & (comparisons["column"] == column)]
        other = {b if a == "none" else a: p for a, b, p in mine[["a", "b", "p_holm"]].to_numpy()}
        table[f"{column}_p"] = table["defense"].map(other)
        table[f"{column}_seeds_sd"] = np.nan
    order = [*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]
    order = [c for c in order if c != "copy_p"]
    place = table["rank_low"].fillna(np.inf).where(table["role"] != "undefended", -1)
    return table.reindex(columns=order).iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


def letters(inside: list[str], wins: set[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display: those that share a letter are not told apart."""
    ties = nx.Graph()
    ties.add_nodes_from(inside)
    for a, b in combinations(inside, 2):
        if (a, b) not in wins and (b, a) not in wins:
            ties.add_edge(a, b)
    groups = sorted(sorted(map(inside.index, g)) for g in nx.find_cliques(ties))
    found: dict[str, str] = dict.fromkeys(inside, "")
    for letter, group in zip("abcdefghijklmnopqrstuvwxyz", groups, strict=False):
        for place in group:
            found[inside[place]] += letter
    return found


def _controls(track: str, table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    found = []
    for row in table[table["role"] != "contestant"].to_dict("records"):
        low, high = {"copy-machine": (0.2, 1.0), "undefended": (0.1, 1.0)}.get(
            row["role"], (0.0, 0.05)
        )
        if row["role"] == "early-stop":
            continue
        value = row["copy_rate"]
        passed = low <= value <= high
        words = (
            f"{row['defense']}: the copy rate is {value:.1%}, {'as' if passed else 'not'} expected "
            f"between {low:.0%} and {high:.0%}."
        )
        found.append(
            {"track": track, "control": row["defense"], "role": row["role"], "metric": "copy_rate"}
            | {"attack": "", "sees": "", "seed": 0, "value": value, "n": 1000}
            | {"ci_low": row["copy_rate_low"], "ci_high": row["copy_rate_high"]}
            | {"expected_low": low, "expected_high": high, "passed": passed, "words": words}
        )
    for row in rows[rows["sees"] == "nothing"].to_dict("records"):
        words = f"blind: an AUC of {row['value']:.3f} without a model, as expected."
        found.append(
            {"track": track, "control": "blind", "role": "blind", "metric": "auc", "seed": 0}
            | {"attack": "blind", "sees": "nothing", "value": row["value"], "n": 550}
            | {"ci_low": row["ci_low"], "ci_high": row["ci_high"]}
            | {"expected_low": 0.4, "expected_high": 0.6, "passed": True, "words": words}
        )
    return pd.DataFrame(found)


def _trainings() -> pd.DataFrame:
    lesson = {"trainer": "standard", "data": "members", "init": "pretrained", "teachers": ""}
    done = {"images": 100, "steps": 1500, "epochs": 960.0, "seconds": 65.2, "device": "cpu"}
    each = [
        {"network": name, "seed": 0, **lesson, **done, "peak_memory_mb": 510.0}
        for name in ("base", "half-a", "half-b")
    ]
    return pd.DataFrame(each)


def _reported(track: str) -> list[dict[str, Any]]:
    return [
        {"track": track, "defense": "cpsample", "attack": "", "metric": f"copy_rate:{SPACE}"}
        | {"reported": 0.0, "measured": 0.018, "unit": "share"}
        | {"source": "CPSample, Table 2", "protocol": "CIFAR-10, 1,000 images, SSCD above 0.5"}
        | {"note": "the text says 0.1 %"}
    ]


def _cells(track: str, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The measurement files: one of each attack for all defenses, one of each defense's copies."""
    found = []
    audits = rows[rows["metric"] == "auc"]
    for (attack, sees), mine in audits.groupby(["attack", "sees"], sort=False):
        path = f"results/{track}/measurements/membership/{attack}/{sees}/seed0.json"
        targets = mine["defense"].tolist()
        cells = [
            {"stage": "membership", "targets": [name], "scores": [sha(attack, sees, name)[:16]]}
            | {"about": {"defense": name, "seed": 0, "attack": attack, "sees": sees}}
            for name in targets
        ]
        files = [
            [f"results/{track}/scores/{attack}/{sees}/{n}/seed0.parquet", sha(attack, sees, n, 1)]
            for n in targets
        ]
        found.append(
            {"stage": "membership", "path": path, "inputs": {"scores": files}}
            | {"names": {"attack": attack, "sees": sees, "seed": 0}}
            | {"spec": {"stage": "membership", "scores": [f[1][:16] for f in files], "cells": cells}}
            | {"command": f"leakboard run {path} --force"}
            | {"log": f"results/logs/membership/{track}/{attack}/{sees}/seed0.log"}
        )
    for name in rows.loc[rows["sampler"] == "plain", "defense"].unique():
        path = f"results/{track}/measurements/copying/{SPACE}/{name}/plain/seed0.json"
        table = f"results/{track}/similarity/{SPACE}/{name}/plain/seed0.parquet"
        about = {"track": track, "defense": name, "seed": 0, "sampler": "plain"}
        found.append(
            {"stage": "copying", "path": path, "inputs": {"similarity": [[table, sha(name)]]}}
            | {"names": {"extractor": SPACE, "defense": name, "sampler": "plain", "seed": 0}}
            | {"spec": {"stage": "copying", "about": about, "similarity": sha(name, 2)[:16]}}
            | {"command": f"leakboard run {path} --force"}
            | {"log": f"results/logs/copying/{track}/{SPACE}/{name}/plain/seed0.log"}
        )
    return found


def _config(table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The resolved entries of all names."""
    entry = {"method": "none", "denoisers": ["base"], "classifier": None, "params": {}}
    attack = {"method": "loss", "sees": ["weights"], "params": {"t": 150, "draws": 5}}
    return {
        "defenses": {name: {**entry, "paper": "?"} for name in table["defense"]},
        "attacks": {name: attack for name in rows["attack"].dropna().unique() if name},
        "networks": {"base": {"trainer": "standard", "data": "members", "init": "pretrained"}},
        "track": {"seeds": [0], "sampling": {"sampler": "ddim", "steps": 50, "images": 1000}},
    }


def _curves(rows: pd.DataFrame) -> pd.DataFrame:
    """A binormal curve of each AUC, with a band."""
    fpr = np.geomspace(1e-3, 1, 60)
    found = []
    for row in rows[(rows["metric"] == "auc") & (rows["sees"] != "nothing")].itertuples():
        shift = np.sqrt(2) * norm.ppf(min(max(row.value, 1e-3), 1 - 1e-3))
        tpr, low, high = (norm.cdf(shift + s + norm.ppf(fpr)) for s in (0, -0.25, 0.25))
        found.append(
            pd.DataFrame({"fpr": fpr, "tpr": tpr, "low": low, "high": high}).assign(
                attack=row.attack, sees=row.sees, defense=row.defense, seed=0, scored_by=""
            )
        )
    order = ["attack", "sees", "defense", "seed", "scored_by", "fpr", "tpr", "low", "high"]
    return pd.concat(found, ignore_index=True)[order] if found else pd.DataFrame(columns=order)


def _histograms(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    edges = np.linspace(-0.2, 1.0, 61)
    threshold = float(edges[52])
    found = []
    for name, rate in [("", 0.0), *table[["defense", "copy_rate"]].itertuples(index=False)]:
        body = rng.normal(0.45, 0.12, 1000)
        copies = rng.random(1000) < np.nan_to_num(rate)
        values = np.clip(np.where(copies, rng.uniform(0.85, 1.0, 1000), body), -0.19, 0.999)
        found.append(
            pd.DataFrame({"low": edges[:-1], "high": edges[1:]}).assign(
                extractor=SPACE, defense=name, count=np.histogram(values, edges)[0], n=1000,
                threshold=threshold,
            )
        )
    order = ["extractor", "defense", "low", "high", "count", "n", "threshold"]
    return pd.concat(found, ignore_index=True)[order]


def _gallery(table: pd.DataFrame, rng: np.random.Generator, shown: int = 6) -> dict[str, Any]:
    def picture() -> str:
        canvas = BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(canvas, format="PNG")
        return b64encode(canvas.getvalue()).decode()

    few = table["defense"].tolist()[:12]
    entries = {
        name: [
            {"sample": i, "neighbor": i + 7, "similarity": 0.99 - i / 50}
            | {"generated": picture(), "training": picture()}
            for i in range(shown)
        ]
        for name in few
    }
    return {"extractor": SPACE, "shown": shown, "left_out": 0, "pairs": entries}
