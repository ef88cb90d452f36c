"""Boards of any size for the page: numbers from a seed, judged and laid out as real ones are."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from io import BytesIO
from itertools import combinations, cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import norm

from leakboard import counterparts, measurements
from leakboard.measures.board import judged
from leakboard.measures.ranking import COSTS
from leakboard.measures.strongest import ACCESS
from leakboard.report.drawn import CURVES
from leakboard.report.page import Board
from leakboard.reported import read

ROOT = Path(__file__).parents[1]
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
    seeds: int = 1,
    shown: int = 6,
    about: str = "A small diffusion model is fine-tuned on 100 scanned digits until it copies "
    "them. Which of them does it leak, and which defense stops that?",
) -> Board:
    """One track: defenses x attacks with everything that the page shows of them.

    shown: pairs of pictures of each defense in the gallery.
    """
    rng = np.random.default_rng([seed, defenses, attacks])
    who, how = called or names(defenses), tried or pairs(attacks)
    leaks = {name: _leak(name, rng) for name in who}
    rows: list[dict[str, Any]] = []
    for run in range(seeds):
        rows += [row for name in who for row in _defense(track, name, leaks[name], how, run, rng)]
        rows += _track(track, run)
    costs = pd.DataFrame([{"defense": name, **_costs(rng)} for name in who])
    return completed(track, about, measurements.table(rows), costs, seed, shown)


def completed(
    track: str, about: str, rows: pd.DataFrame, costs: pd.DataFrame, seed: int = 0, shown: int = 6
) -> Board:
    """A board of these measurements, judged as `rank` does, with drawings that fit its numbers."""
    rng = np.random.default_rng([seed, len(rows)])
    told = rows[rows["metric"] == "auc"]
    entries = {
        name: {
            "role": ROLES.get(name, "contestant"),
            "attacks": told.loc[told["defense"] == name, ["attack", "sees"]].to_numpy().tolist(),
            "paper": "Authors, A Paper, ICLR 2025" if name in KNOWN else "",
            "caveat": "acts while sampling, so whoever holds the weights sees the undefended model"
            if name in KNOWN[:3]
            else "",
        }
        for name in rows["defense"].unique()
        if name
    }
    headline = {"copies": f"copy_rate:{SPACE}", "quality": f"fid:{QUALITY}"}
    spec = {"track": track, "defenses": entries, "headline": headline, "contenders": CONTENDERS}
    spec |= {"gate": GATE, "calibration": 0.001, "members": 100}
    found = judged(rows, costs, compared(rows), spec, measurements.reasons(rows))
    beside = counterparts.beside(
        read(ROOT / "config/reported.yaml"),
        track,
        entries,
        rows["attack"].unique(),
        rows,
        judges=(SPACE, QUALITY),
    )
    return Board(
        track=track,
        about=about,
        table=found.table,
        measurements=rows,
        trainings=_trainings(),
        comparisons=found.compared,
        controls=found.controls,
        verdict=found.verdict,
        reported=counterparts.frame(beside),
        cells=_cells(track, rows),
        config=_config(found.table, rows),
        curves=_curves(rows),
        histograms=_histograms(found.table, rng),
        gallery=_gallery(found.table, rng, shown),
        contenders=CONTENDERS,
        gate=GATE,
    )


def _leak(name: str, rng: np.random.Generator) -> float:
    """How much a defense gives away, in [0, 1]."""
    known = {"undefended": 0.9, "copy-machine": 1.0, "never-saw-members": 0.0, "noise": 0.0}
    return known.get(ROLES.get(name, ""), float(rng.beta(1.2, 2.0)))


def _costs(rng: np.random.Generator) -> dict[str, float]:
    costs = 60 + 90 * rng.random(), 6 + 9 * rng.random(), 1 + rng.random(), 500 + 90 * rng.random()
    return dict(zip(COSTS, costs, strict=True))


def _defense(
    track: str,
    name: str,
    leak: float,
    how: list[tuple[str, str]],
    run: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """The measurements of one defense and seed."""
    role = ROLES.get(name, "contestant")
    about = {"track": track, "seed": run, "defense": name, "status": "ok"}
    plain = {**about, "sampler": "plain"}
    n = 1000
    copies = 0.98 if role == "copy-machine" else max(leak * 0.3 + rng.normal(0, 0.01), 0.0)
    copies = copies if leak else 0.0
    fid = float(np.exp(rng.normal(0, 0.25))) * {"noise": 19.5, "copy-machine": 0.2}.get(role, 1.0)
    fid *= 4.0 if name == "kd" else 1.0  # one is ruined
    nearly = min(copies * 1.3, 1.0)
    rows = [
        _row(plain, f"copy_rate:{SPACE}", _share(copies, n), n, "share", "lower"),
        _row(plain, f"fid:{QUALITY}", (fid, fid * 0.85, fid * 1.15), n, "", "lower"),
        _row(plain, f"kid:{QUALITY}", (fid / 80, np.nan, np.nan), n, "", "lower"),
        *(
            _row(
                plain,
                metric,
                _share(nearly if copies > 0.9 else copies / 3, n),
                n,
                "share",
                "lower",
            )
            for metric in ("memorization_ratio:pixels", "nl2<1.4:pixels")
        ),
        *(
            _row(plain, f"copy_rate>{t}:{SPACE}", _share(nearly, n), n, "share", "lower")
            for t in (0.4, 0.5, 0.9, 0.95)
        ),
    ]
    for attack, sees, metric, value in (
        ("random", "images", f"copy:{SPACE}", copies),
        ("side", "predictor", f"copy:{SPACE}:best", min(copies * 2.1, 1)),
        ("side", "predictor", f"copy:{SPACE}:best-random", copies),
    ):
        note = "lambda = 6, chosen on the other half" if metric.endswith("best") else ""
        drawn = {**about, "attack": attack, "sees": sees, "note": note}
        for score, share in (("ams", value), ("ums", value / 2)):
            rows.append(_row(drawn, f"{score}:{metric}", _share(share, 250), 250, "share", "lower"))
    for attack, sees in how:
        signal = (
            leak * {"weights": 2.6, "predictor": 2.0, "images": 1.2}[sees] * rng.uniform(0.4, 1)
        )
        auc = float(norm.cdf(signal / np.sqrt(2) + rng.normal(0, 0.02)))
        half = 1.96 * np.sqrt(max(auc * (1 - auc), 1e-4) / 60)
        spec = {**about, "attack": attack, "sees": sees}
        ends = auc, max(auc - half, 0.0), min(auc + half, 1.0)
        rows.append(_row(spec, "auc", ends, 550, "probability", "chance"))
        tpr = float(norm.cdf(signal - 2.33))
        for metric, value in (
            ("tpr@1%fpr", tpr),
            ("tpr@0.1%fpr", tpr / 4),
            ("asr", (1 + auc) / 2),
            ("tpr@1%fpr:dev-threshold", tpr * 0.97),
            ("fpr:dev-threshold", 0.011),
            ("asr:dev-threshold", auc),
        ):
            size = {"tpr@1%fpr:dev-threshold": 50, "fpr:dev-threshold": 500}.get(metric, 550)
            rows.append(_row(spec, metric, _share(value, 500), size, "share", "lower"))
        rows.append(_row(spec, "z", (signal * 3, np.nan, np.nan), 550, "z", "lower"))
    return rows


def _row(
    about: dict[str, Any], metric: str, ends: tuple[float, float, float], n: int, unit: str, to: str
) -> dict[str, Any]:
    value, low, high = map(float, ends)
    told = {"metric": metric, "value": value, "ci_low": low, "ci_high": high}
    empty = dict.fromkeys(("attack", "sees", "sampler", "note"), "")
    key = (about.get(k, "") for k in ("track", "defense", "attack", "sees", "sampler", "seed"))
    return {**empty, **about, **told, "n": n, "unit": unit, "better": to} | {
        "digest": sha(*key)[:16]
    }


def _share(value: float, n: int) -> tuple[float, float, float]:
    value = round(min(max(value, 0.0), 1.0) * n) / n
    half = 1.96 * np.sqrt(max(value * (1 - value), 1 / n) / n)
    return value, max(value - half, 0.0), min(value + half, 1.0)


def _track(track: str, run: int) -> list[dict[str, Any]]:
    """What is measured of the track alone: the split, and the blind attack."""
    about = {"track": track, "seed": run, "defense": "", "status": "ok"}
    blind = {**about, "attack": "blind", "sees": "nothing"}
    return [
        _row(about, "self_similarity:pixels", (1.0, np.nan, np.nan), 100, "", ""),
        _row(blind, "auc", (0.471, 0.39, 0.553), 550, "probability", "chance"),
    ]


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Every pair of defenses in every ranked column, as from independent intervals."""
    ends = ["value", "ci_low", "ci_high"]
    means = rows.groupby(["metric", "sees", "attack", "defense"])[ends].mean()
    order, found = [name for name in rows["defense"].unique() if name], []
    for column in ("copy_rate", *(f"{sees}_auc" for sees in ACCESS)):
        sees = column.removesuffix("_auc")
        key = (f"copy_rate:{SPACE}", "") if column == "copy_rate" else ("auc", sees)
        if key not in means.index:
            continue
        mine = means.loc[key].reset_index()
        mine["leak"] = mine["value"] if column == "copy_rate" else (mine["value"] - 0.5).abs()
        worst = mine.sort_values("leak", ascending=False).drop_duplicates("defense")
        worst = worst.set_index("defense").reindex(order)
        worst = worst[worst["leak"].notna()]
        each = list(worst[["attack", "leak", "ci_low", "ci_high"]].itertuples())
        for a, b in combinations(each, 2):
            errors = [(r.ci_high - r.ci_low) / 3.92 for r in (a, b)]
            gap, error = a.leak - b.leak, float(np.hypot(*errors)) or 1e-9
            found.append(
                {"column": column, "a": a.Index, "b": b.Index, "value_a": a.leak, "value_b": b.leak}
                | {"attack_a": a.attack, "attack_b": b.attack, "difference": gap}
                | {"ci_low": gap - 1.96 * error, "ci_high": gap + 1.96 * error}
                | {"p": float(2 * norm.sf(abs(gap) / error)), "se": error, "n": 550}
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
            | {
                "spec": {
                    "stage": "membership",
                    "scores": [f[1][:16] for f in files],
                    "cells": cells,
                }
            }
            | {"command": f"leakboard run {path} --force"}
            | {"log": f"results/logs/membership/{track}/{attack}/{sees}/seed0.log"}
        )
    path = f"results/{track}/measurements/copying/{SPACE}/plain/seed0.json"
    names = rows.loc[rows["sampler"] == "plain", "defense"].unique().tolist()
    folder = f"results/{track}/similarity/{SPACE}"
    tables = {name: f"{folder}/{name}/plain/seed0.parquet" for name in names}
    cells = [
        {"stage": "copying", "similarity": sha(name, 2)[:16], "features": sha(name, 3)[:16]}
        | {"about": {"track": track, "defense": name, "seed": 0, "sampler": "plain"}}
        for name in names
    ]
    found.append(
        {"stage": "copying", "path": path}
        | {"inputs": {"tables": [[table, sha(name)] for name, table in tables.items()]}}
        | {"names": {"extractor": SPACE, "sampler": "plain", "seed": 0}}
        | {"spec": {"stage": "copying", "cells": cells}}
        | {"command": f"leakboard run {path} --force"}
        | {"log": f"results/logs/copying/{track}/{SPACE}/plain/seed0.log"}
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
    """A binormal curve of each AUC of the first seed, with a band."""
    told = (rows["metric"] == "auc") & (rows["sees"] != "nothing") & (rows["seed"] == 0)
    mine = rows.loc[told, ["attack", "sees", "defense", "seed", "value"]]
    mine = mine.rename(columns={"value": "auc"}).assign(scored_by="")
    fpr = np.geomspace(1e-3, 1, 60)
    shift = np.sqrt(2) * norm.ppf(mine["auc"].clip(1e-3, 1 - 1e-3).to_numpy(float))
    made = mine.loc[mine.index.repeat(len(fpr))].assign(fpr=np.tile(fpr, len(mine)))
    for name, step in (("tpr", 0.0), ("low", -0.25), ("high", 0.25)):
        made[name] = norm.cdf(shift[:, None] + step + norm.ppf(fpr)).ravel()
    return made.reset_index(drop=True).reindex(columns=CURVES)


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
                extractor=SPACE,
                defense=name,
                count=np.histogram(values, edges)[0],
                n=1000,
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

    few = table["defense"].tolist()
    entries = {
        name: [
            {"sample": i, "neighbor": i + 7, "similarity": 0.99 - i / 50}
            | {"generated": picture(), "training": picture()}
            for i in range(shown)
        ]
        for name in few
    }
    if not shown:
        return {"off": True}
    return {"extractor": SPACE, "left_out": 0, "pairs": entries}
