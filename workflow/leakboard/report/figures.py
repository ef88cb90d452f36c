"""Figures of a board: the same arrays give the same figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from leakboard.report.drawn import edges

Array = NDArray[np.floating]
Images = NDArray[np.uint8]  # (n, height, width, 1 or 3 channels)

INK, FAINT = "#22252a", "#9aa0a8"
# Okabe and Ito, and gray for their black
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6b6b")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
SAMPLES, PAIRS, PREVIEWED = 64, 10, 100  # pictures of a defense in each kind of figure
WIDTH = 8.0  # inches; at 800 px a point is 1.4 px
SCORES = {
    "AMS": "Pictures that copy a training image",
    "UMS": "Different images copied, per picture",
}
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8eaed",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "text.parse_math": False,  # a name with a dollar is only a name
    "svg.hashsalt": "leakboard",
}


def roc(panels: Mapping[str, Mapping[str, tuple[Array, Array, Array, Array]]]) -> Figure:
    """Return log-log ROC curves with bands, one panel per attack, two side by side.

    panels: attack -> label -> false and true positive rates, and the ends of the latter's
    intervals, (k,) each in [0, 1], ascending. The diagonal is chance.
    """
    with rc_context(STYLE):
        rows = max(1, -(-len(panels) // 2))
        figure = Figure(figsize=(WIDTH, 3.1 * rows), layout="constrained")
        places = figure.subplots(rows, 2, squeeze=False).ravel()
        every = [fpr for curves in panels.values() for fpr, *_ in curves.values()]
        least = min((float(fpr[fpr > 0].min()) for fpr in every), default=1e-3)
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        for axes, (attack, curves) in zip(places, panels.items(), strict=False):
            axes.plot([least, 1], [least, 1], color=FAINT, linewidth=1, linestyle=":")
            for (label, (fpr, *rates)), (color, dash) in zip(
                curves.items(), _looks(), strict=False
            ):
                tpr, low, high = (np.maximum(each, least / 10) for each in rates)
                axes.fill_between(fpr, low, high, color=color, alpha=0.1, linewidth=0)
                axes.plot(fpr, tpr, color=color, linestyle=dash, label=label)
            axes.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.05))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda rate, _: f"{100 * rate:g}%")
            axes.set_title(attack, loc="left", fontsize=11, fontweight="bold")
            # curves rise from the left: below them, on the right, there is room
            axes.legend(loc="lower right", fontsize=7.5, handlelength=1.8, labelspacing=0.3)
        figure.supxlabel("False positive rate: strangers taken for members", fontsize=10)
        figure.supylabel("True positive rate: members found", fontsize=10)
        return figure


def similarity_histogram(
    similarities: Mapping[str, Array], background: Array, threshold: float, extractor: str
) -> Figure:
    """Return, one strip per defense, how similar samples are to their nearest training image.

    similarities: defense -> (n,); background: (m,) similarities of real images that were never
    trained on; right of `threshold` a sample counts as a copy, and each strip says how many do.
    """
    with rc_context(STYLE):
        rows = max(1, len(similarities))
        figure = Figure(figsize=(WIDTH, 1.1 + 0.85 * rows), layout="constrained")
        strips = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
        finite = [np.asarray(a)[np.isfinite(a)] for a in (*similarities.values(), background)]
        bins = edges(finite, threshold)
        for strip, defense, values in zip(strips, similarities, finite, strict=False):
            strip.hist(finite[-1], bins, weights=_shares(finite[-1]), color="#d5d8dd")
            for part, color in ((values <= threshold, COLORS[0]), (values > threshold, COLORS[1])):
                weights = _shares(values)[part]
                strip.hist(values[part], bins, weights=weights, color=color, alpha=0.75)
            strip.axvline(threshold, color=INK, linewidth=1, linestyle=":")
            copies = np.mean(values > threshold) if len(values) else 0.0
            strip.text(1.01, 0.5, f"{copies:.1%}", transform=strip.transAxes, va="center")
            strip.set_ylabel(defense, rotation=0, ha="right", va="center", labelpad=10)
            strip.set(yticks=[], xlim=(bins[0], bins[-1]))
            strip.spines["left"].set_visible(False)
        strips[0].text(1.01, 1.05, "copies", transform=strips[0].transAxes, color=INK)
        strips[-1].set_xlabel(
            f"Similarity to the nearest training image ({extractor}); "
            f"gray: real images never trained on; dots: threshold {threshold:.3g}"
        )
        return figure


def neighbor_pairs(pairs: Mapping[str, tuple[Images, Images, Array]], shown: int = PAIRS) -> Figure:
    """Return, per defense, the most similar samples above their nearest training images.

    pairs: defense -> samples and neighbors, uint8 (n, h, w, c) each, and similarities (n,).
    """
    with rc_context(STYLE):
        rows = max(1, len(pairs))
        figure = Figure(figsize=(WIDTH, 1.95 * rows), layout="constrained")
        strips = figure.subplots(rows, 1, squeeze=False)[:, 0]
        for axes, (defense, (samples, neighbors, similarity)) in zip(
            strips, pairs.items(), strict=False
        ):
            top = np.argsort(-np.asarray(similarity), kind="stable")[:shown]
            canvas = np.vstack([_mosaic(images[top], shown, 1) for images in (samples, neighbors)])
            axes.imshow(canvas)
            height, width = canvas.shape[:2]
            for place, value in enumerate(np.asarray(similarity)[top]):
                x = (place + 0.5) * width / shown
                axes.text(x, height * 1.02, f"{value:.3f}", ha="center", va="top", fontsize=9)
            axes.set_title(defense, loc="left", fontsize=11, fontweight="bold")
            for y, name in ((0.75, "sample"), (0.25, "training")):
                axes.text(
                    -0.01, y, name, transform=axes.transAxes, ha="right", va="center", color=INK
                )
            axes.set_axis_off()
        return figure


def sample_grids(grids: Mapping[str, Images], shown: int = SAMPLES) -> Figure:
    """Return the first `shown` samples of every defense, side by side.

    grids: defense -> uint8 (n, h, w, c); small images are enlarged without smoothing.
    """
    with rc_context(STYLE):
        across = min(3, max(1, len(grids)))
        down = max(1, -(-len(grids) // across))
        side = WIDTH / across
        figure = Figure(figsize=(WIDTH, (side + 0.25) * down), layout="constrained")
        columns = int(np.ceil(np.sqrt(shown)))
        places = figure.subplots(down, across, squeeze=False).ravel()
        for axes in places:
            axes.set_axis_off()
        for axes, (defense, images) in zip(places, grids.items(), strict=False):
            axes.imshow(_mosaic(images[:shown], columns, -(-shown // columns)))
            axes.set_title(defense, loc="left", fontsize=11, fontweight="bold")
        return figure


def extraction(grids: Mapping[str, Mapping[str, Mapping[str, Array]]]) -> Figure:
    """Return scores of extraction attacks against their strength, one row per attack.

    grids: attack -> "AMS" or "UMS" -> defense -> (k, 4): lambda ascending, the score, and the ends
    of its interval, as shares. Without grids the picture says so.
    """
    with rc_context(STYLE):
        rows = max(1, len(grids))
        figure = Figure(figsize=(WIDTH, 3.6 * rows if grids else 2.0), layout="constrained")
        places = figure.subplots(rows, 2, squeeze=False)
        if not grids:
            figure.text(0.5, 0.5, "No grid of strengths in this track", ha="center", va="center")
            for axes in places.ravel():
                axes.set_axis_off()
        for pair, (attack, scores) in zip(places, grids.items(), strict=False):
            names = list(dict.fromkeys(name for curves in scores.values() for name in curves))
            looks: dict[str, dict[str, Any]] = {
                name: {"color": color, "linestyle": dash}
                for name, (color, dash) in zip(names, _looks(), strict=False)
            }
            for axes, (score, curves) in zip(pair, scores.items(), strict=False):
                _strengths(axes, curves, looks)
                axes.set_title(score, loc="left", fontsize=11, fontweight="bold")
                axes.set_ylabel(SCORES[score])
            handles = [Line2D([], [], marker="o", markersize=4, **looks[name]) for name in names]
            legend = pair[1].legend(
                handles, names, title=attack, loc="upper left", bbox_to_anchor=(1.01, 1.04)
            )
            legend.set_alignment("left")
        return figure


def _strengths(axes: Axes, curves: Mapping[str, Array], looks: Mapping[str, Any]) -> None:
    marks = sorted({float(strength) for curve in curves.values() for strength in curve[:, 0]})
    gap = float(min(np.diff(marks), default=1.0))
    for place, (name, look) in enumerate(looks.items()):
        if name in curves:
            strength, value, low, high = np.asarray(curves[name], dtype=float).T
            # side by side, so that no bar hides another
            at = strength + 0.4 * gap * ((place + 0.5) / len(looks) - 0.5)
            axes.plot(at, value, marker="o", markersize=4, linewidth=1.4, clip_on=False, **look)
            axes.vlines(at, low, high, color=look["color"], linewidth=1.2, alpha=0.55)
    axes.set(ylim=(0, None), xlabel="Strength lambda (0: plain drawing)")
    if len(marks) <= 12:  # of a fine grid they would overlap
        axes.set_xticks(marks)
    axes.xaxis.set_major_formatter(lambda strength, _: f"{strength:g}")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")


def loss_curves(curves: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Return training losses on a log scale; curves: network -> steps and losses, (k,) each."""
    with rc_context(STYLE):
        figure, axes = _figure(4.2)
        for (name, (steps, losses)), (color, dash) in zip(curves.items(), _looks(), strict=False):
            axes.plot(steps, losses, color=color, linestyle=dash, linewidth=1.4, label=name)
        axes.set(xlabel="Training step", ylabel="Loss", yscale="log")
        axes.yaxis.set_major_formatter(lambda loss, _: f"{loss:g}")
        if curves:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
        return figure


def preview(images: Images, shown: int = PREVIEWED) -> bytes:
    """Return up to `shown` images, uint8 (n, h, w, c), as a PNG grid of ten columns.

    Small images are enlarged by a whole factor, to at least 40 pixels a side.
    """
    images = images[:shown]
    rows = max(1, -(-len(images) // 10))
    canvas = BytesIO()
    Image.fromarray(_mosaic(images, 10, rows)).save(canvas, format="PNG", optimize=True)
    return canvas.getvalue()


def _mosaic(images: Images, columns: int, rows: int) -> Images:
    """The images row by row on white, (rows * cell, columns * cell, 3), enlarged when small."""
    height, width = images.shape[1:3]
    factor = -(-40 // min(height, width))
    gap = max(2, factor * min(height, width) // 10)
    canvas = np.full(
        (rows, columns, factor * height + gap, factor * width + gap, 3), 255, dtype=np.uint8
    )
    for place, image in enumerate(images[: rows * columns]):
        large = np.asarray(image).repeat(factor, axis=0).repeat(factor, axis=1)
        # gray becomes three equal channels by broadcasting
        canvas[place // columns, place % columns, :-gap, :-gap] = large
    return canvas.swapaxes(1, 2).reshape(rows * canvas.shape[2], columns * canvas.shape[3], 3)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _looks() -> Iterable[tuple[str, object]]:
    """Color and dash of each curve; pairs repeat after 28 curves."""
    return cycle((color, dash) for dash in DASHES for color in COLORS)


def _shares(values: Array) -> Array:
    return np.full(len(values), 1 / max(1, len(values)))


def off() -> Figure:
    """Return what stands for a figure with pictures where none may leave."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.0), layout="constrained")
        words = "No picture leaves this board (evaluation: gallery: 0)"
        figure.text(0.5, 0.5, words, ha="center", va="center")
        return figure
