"""The figures of a board, from what its steps have measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard import artefacts
from leakboard.measures.similarity import calibrated_threshold
from leakboard.report import drawn as data
from leakboard.report import figures, saved

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """What is shown of a defense's pictures.

    first: pictures (n, h, w, c); closest: those most like a training image, of which `calls` are
    the rows of the neighbor table; similarity (m,) of all of them.
    """

    first: Pixels
    closest: Pixels
    calls: pd.DataFrame
    similarity: NDArray[np.float64]

    @classmethod
    def of(cls, files: Sequence[str | Path], table: pd.DataFrame, gallery: int) -> Shown:
        """What is shown of the pictures in some files, with a neighbor table of all of them."""
        similarity = table["similarity"].to_numpy()
        top = np.argsort(-similarity, kind="stable")[: max(gallery, figures.PAIRS)]
        calls = table.iloc[np.sort(top)].reset_index(drop=True)
        asked = calls["sample"].to_numpy()
        first = np.arange(min(figures.SAMPLES, len(table)))
        wanted = np.union1d(first, asked)
        found = artefacts.some_pictures(files, wanted)
        place = np.searchsorted(wanted, asked)
        return cls(found[: len(first)], found[place], calls, similarity)


def pictures(
    *,
    shown: Mapping[str, Shown],
    images: Pixels,
    background: NDArray[Any],
    lines: Iterable[tuple[str, str, str, Mapping[str, str]]],
    scores: Mapping[str, pd.DataFrame],
    losses: Mapping[str, pd.DataFrame],
    extracted: pd.DataFrame,
    spec: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of each file of the figures, by name.

    The figures as PNG under their names, and as SVG under `{name}_svg`; what charts are drawn from:
    `curves`, `histograms`, `gallery` (see `drawn`).
    shown: defense -> its pictures;
    images: all real images; background (m,): held-out similarities; lines and scores: see
    `drawn.curves`; losses: network -> its curve (step, loss); extracted: measurements of extraction
    attacks; spec: extractor, calibration, grids (see `drawings.grids`), seed, gallery, gallery_kb.
    """
    extractor = spec["extractor"]
    pairs = {n: (s.closest, images[s.calls["neighbor"]], s.calls) for n, s in shown.items()}
    first = {name: each.first for name, each in shown.items()}
    similar = {name: each.similarity for name, each in shown.items()}
    threshold = calibrated_threshold(background, spec["calibration"])
    loss = {name: (np.asarray(t["step"]), np.asarray(t["loss"])) for name, t in losses.items()}
    curves = data.curves(lines, scores, spec["seed"])
    seen = {n: (a, b, t["similarity"].to_numpy()) for n, (a, b, t) in pairs.items()}
    made = {
        "samples": figures.sample_grids(first) if spec["gallery"] else figures.off(),
        "neighbors": figures.neighbor_pairs(seen) if spec["gallery"] else figures.off(),
        "roc": figures.roc(panels(curves)),
        "similarity": figures.similarity_histogram(similar, background, threshold, extractor),
        "extraction": figures.extraction(strengths(extracted, spec["grids"].values(), extractor)),
        "loss": figures.loss_curves(loss),
    }
    return {
        **{name: saved.png(figure) for name, figure in made.items()},
        **{f"{name}_svg": saved.svg(figure) for name, figure in made.items()},
        "curves": curves,
        "histograms": data.histograms(similar, background, threshold, extractor),
        "gallery": data.gallery(pairs, spec["gallery"], spec["gallery_kb"], extractor),
    }


def panels(curves: pd.DataFrame) -> dict[str, dict[str, tuple[Any, ...]]]:
    """The curves of a figure: attack and access -> defense and AUC -> fpr, tpr, low, high.

    Attacks on defenses as they answer; where there are none, on their networks.
    """
    guarded = curves[curves["sees"] != "weights"]
    found: dict[str, dict[str, tuple[Any, ...]]] = {}
    for (attack, sees, defense), curve in (guarded if len(guarded) else curves).groupby(
        ["attack", "sees", "defense"], sort=False
    ):
        turned = ", turned" if data.TURNED in str(curve["scored_by"].iloc[0]) else ""
        label = f"{defense} ({curve['auc'].iloc[0]:.3f}{turned})"
        ends = (curve[end].to_numpy() for end in ("fpr", "tpr", "low", "high"))
        found.setdefault(f"{attack}, sees the {sees}", {})[label] = tuple(ends)
    return found


def strengths(
    rows: pd.DataFrame, grids: Iterable[Mapping[str, Any]], extractor: str
) -> dict[str, dict[str, dict[str, NDArray[np.float64]]]]:
    """attack, access and N -> AMS or UMS -> defense -> (k, 4): lambda, value, ci_low, ci_high.

    Above the copy threshold. Several seeds: means. lambda = 0 is the attack that draws the same
    plainly; where there is none, the plain pictures beside the best lambda, whose AMS alone is
    comparable: they are fewer, and UMS falls with their number.
    """
    copy, found = f"copy:{extractor}", {}
    for grid in grids:
        family, sees = grid["family"], grid["sees"]
        each = [(strength, attack, sees) for strength, attack in grid["attacks"]]
        panels: dict[str, dict[str, NDArray[np.float64]]] = {}
        for score in ("ams", "ums"):
            curves = {}
            for defense in grid["defenses"]:
                mine = rows[rows["defense"] == defense]
                points = [(s, _of(mine, a, by, f"{score}:{copy}")) for s, a, by in each]
                if defense in grid["plain"]:
                    attack, by = grid["plain"][defense]
                    points += [(0.0, _of(mine, attack, by, f"{score}:{copy}"))]
                elif score == "ams" and min(grid["attacks"])[0] > 0:
                    beside = _of(mine, family, sees, f"{score}:{copy}:best-random")
                    points += [(0.0, beside)]
                curve = [[s, *numbers] for s, numbers in points if np.isfinite(numbers[0])]
                if curve:
                    curves[defense] = np.array(sorted(curve))
            panels[score.upper()] = curves
        each_n = (rows["attack"] == grid["attacks"][0][1]) & (rows["metric"] == f"ams:{copy}")
        n = rows.loc[each_n, "n"].mean()
        found[f"{family}\nsees the {sees}\nN = {n:.0f} each"] = panels
    return found


def _of(rows: pd.DataFrame, attack: str, sees: str, metric: str) -> list[float]:
    """Value, ci_low and ci_high of one metric of one attack, the means over seeds."""
    mine = (rows["attack"] == attack) & (rows["sees"] == sees) & (rows["metric"] == metric)
    return rows.loc[mine, ["value", "ci_low", "ci_high"]].astype(float).mean().tolist()
