"""Figures as files: the same figure gives the same bytes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from leakboard.report.figures import STYLE

NEARLY_GRAY = 8  # the ink of letters is this blue


def png(figure: Figure) -> bytes:
    """A figure as PNG, 1,200 pixels wide."""
    return _saved(figure, "png", dpi=150, metadata={"Software": None})


def plainer(figure: bytes, pictures: bool = False) -> bytes:
    """A figure, PNG, in a quarter of the bytes and with no difference to see.

    A chart in 64 colors; one that shows pictures in gray if it is gray anyway, else as it is.
    """
    image = Image.open(BytesIO(figure)).convert("RGB")
    if pictures:
        if np.ptp(np.asarray(image), axis=2).max() > NEARLY_GRAY:
            return figure
        few = image.convert("L")
    else:
        few = image.quantize(64, dither=Image.Dither.NONE)
    canvas = BytesIO()
    few.save(canvas, format="PNG", optimize=True)
    return canvas.getvalue()


def svg(figure: Figure) -> bytes:
    """A figure as SVG."""
    return _saved(figure, "svg", metadata={"Date": None, "Creator": None})


def _saved(figure: Figure, kind: str, **how: Any) -> bytes:
    FigureCanvasAgg(figure)
    canvas = BytesIO()
    with rc_context(STYLE):
        figure.savefig(canvas, format=kind, facecolor="white", **how)
    return canvas.getvalue()
