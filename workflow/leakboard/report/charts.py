"""The page's charts as Vega-Lite specs, without data.

Data comes in at run time as values of the fixed fields named here, under `datasets`: no name from a
config, a plug-in or a file is ever part of a spec's fields or expressions.
Colors: Okabe & Ito 2008; on dark, lighter where theirs would drown.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
LIGHT = {
    "ink": "#1f2328",
    "soft": "#646b74",
    "line": "#e3e0d9",
    "card": "#ffffff",
    "faint": "#aab0b8",
    "hot": "#d55e00",
    "accent": "#0072b2",
    "series": ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#3aa0d8", "#6b6b6b"],
}
DARK = {
    "ink": "#e6e4df",
    "soft": "#a0a6ae",
    "line": "#33373d",
    "card": "#1b1e22",
    "faint": "#6b727c",
    "hot": "#f0883e",
    "accent": "#56b4e9",
    "series": ["#56b4e9", "#f0883e", "#2fc8a0", "#e39bc6", "#f0c04a", "#a5d8f5", "#b5b9bf"],
}
DASHES = [[1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [5, 5], [1, 3], [12, 3]]
KINDS = ["on the front", "ranked", "reference", "not ranked"]
SHAPES = ["circle", "circle", "diamond", "cross"]
HAIR = {"strokeWidth": 1, "opacity": 0.7}


def charts() -> dict[str, Spec]:
    """name -> spec of every chart on the page."""
    return {"tradeoff": tradeoff(), "roc": roc(), "similarity": similarity()}


def themes() -> dict[str, Spec]:
    """The Vega configuration and the colors of light and of dark pages."""
    return {name: _theme(colors) for name, colors in (("light", LIGHT), ("dark", DARK))}


def _theme(colors: Spec) -> Spec:
    axis = {"domainColor": colors["faint"], "tickColor": colors["faint"]}
    axis |= {"gridColor": colors["line"], "labelColor": colors["soft"], "labelFontSize": 12}
    axis |= {"titleColor": colors["ink"], "titleFontSize": 12, "titleFontWeight": 500}
    axis |= {"titlePadding": 10, "labelPadding": 5, "labelFlush": False}
    named = {"labelColor": colors["ink"], "titleColor": colors["soft"], "labelFontSize": 12}
    config = {
        "background": "transparent",
        "font": 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif',
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**named, "titleFontWeight": 500, "titleFontSize": 12, "labelLimit": 220},
        "header": {**named, "labelFontWeight": 600, "labelLimit": 300},
        "text": {"color": colors["ink"], "fontSize": 12},
    }
    return {"config": config, "colors": colors}


def tradeoff() -> Spec:
    """Privacy against quality: points {name, x, x_low, x_high, y, y_low, y_high, cost, kind,
    label}, the front {x, y} in the order of x, and the gate {x, words}.
    """
    kind = {"field": "kind", "type": "nominal", "title": None}
    color = {**kind, "scale": {"domain": KINDS, "range": []}}
    x = {"field": "x", "type": "quantitative", "scale": {"type": "log", "nice": False}}
    x |= {"axis": {"grid": False, "tickCount": 6, "format": "~g"}}
    y = {"field": "y", "type": "quantitative", "scale": {"zero": False, "nice": True}}
    whiskers = [
        {
            "data": {"name": "points"},
            "mark": {"type": "rule", **HAIR},
            "encoding": {
                "x": {**x, "field": x_low},
                "y": {**y, "field": y_low},
                end: {"field": f"{end[0]}_high"},
                "color": color,
            },
        }
        for x_low, y_low, end in (("x_low", "y", "x2"), ("x", "y_low", "y2"))
    ]
    beyond = {
        "data": {"name": "gate"},
        "mark": {"type": "rect", "opacity": 0.09},
        "encoding": {"x": x, "x2": {"value": "width"}},
    }
    gate = {
        "data": {"name": "gate"},
        "mark": {"type": "rule", "strokeDash": [4, 3]},
        "encoding": {"x": x},
    }
    words = {
        "data": {"name": "gate"},
        "mark": {"type": "text", "align": "right", "baseline": "top", "dx": -6, "fontSize": 11},
        "encoding": {"x": x, "y": {"value": 2}, "text": {"field": "words"}},
    }
    front = {
        "data": {"name": "front"},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2, "opacity": 0.5},
        "encoding": {"x": x, "y": y, "order": {"field": "x"}},
    }
    points = {
        "data": {"name": "points"},
        "mark": {"type": "point", "opacity": 1, "strokeWidth": 2, "tooltip": {"content": "data"}},
        "encoding": {
            "x": x,
            "y": y,
            "color": color,
            "fill": color,
            "shape": {**kind, "scale": {"domain": KINDS, "range": SHAPES}},
            "size": {
                "field": "cost",
                "type": "quantitative",
                "scale": {"type": "sqrt", "range": [40, 420], "zero": False},
                "legend": {"format": "~g", "tickCount": 3, "symbolFillColor": "transparent"},
            },
        },
    }
    label = {
        "data": {"name": "points"},
        "mark": {"type": "text", "align": "left", "dx": 9, "dy": -9, "fontSize": 12},
        "encoding": {"x": x, "y": y, "text": {"field": "label"}},
    }
    layers = [beyond, gate, words, *whiskers, front, points, label]
    return {"$schema": SCHEMA, "height": 420, "layer": layers}


def roc() -> Spec:
    """Log-log ROC curves with bands: curves {name, fpr, tpr, low, high}; chance {fpr, tpr}."""
    ends = {"type": "quantitative", "axis": {"format": "~%", "tickCount": 4}}
    scale = {"type": "log", "clamp": True, "nice": False}
    x = {**ends, "field": "fpr", "title": "False positive rate: strangers taken for members"}
    y = {**ends, "field": "tpr", "title": "True positive rate: members found"}
    x, y = {**x, "scale": scale}, {**y, "scale": scale}
    legend = {"orient": "bottom", "symbolType": "stroke", "symbolSize": 700, "symbolOpacity": 1}
    color = {"field": "name", "type": "nominal", "title": None, "scale": {}, "legend": legend}
    layers = [
        {
            "data": {"name": "chance"},
            "mark": {"type": "line", "strokeDash": [2, 3], "strokeWidth": 1},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"name": "curves"},
            "mark": {"type": "area", "opacity": 0.13, "clip": True},
            "encoding": {
                "x": x,
                "y": {**y, "field": "low"},
                "y2": {"field": "high"},
                "color": color,
            },
        },
        {
            "data": {"name": "curves"},
            "mark": {"type": "line", "strokeWidth": 2, "clip": True},
            "encoding": {
                "x": x,
                "y": y,
                "color": color,
                "strokeDash": {**color, "scale": {}},
            },
        },
    ]
    return {"$schema": SCHEMA, "height": 380, "layer": layers}


def similarity() -> Spec:
    """Similarity to the nearest training image, a strip for each defense: bars {name, low, high,
    share, none, background, copy}; the threshold {at}.
    """
    x: Spec = {"field": "low", "type": "quantitative", "axis": {"grid": False, "format": "~g"}}
    x |= {"scale": {"zero": False, "nice": False}, "title": None}
    share: Spec = {"type": "quantitative", "scale": {"type": "sqrt"}, "title": None, "stack": None}
    y = {"field": "share", **share, "axis": {"tickCount": 2, "format": "~%", "grid": False}}
    color: Spec = {"field": "what", "type": "nominal", "title": None, "scale": {}}
    bars: Spec = {
        "mark": {"type": "bar", "binSpacing": 0, "orient": "vertical"},
        "encoding": {"x": x, "x2": {"field": "high"}, "y": y, "color": color},
    }
    layers = [
        {**bars, "transform": [{"filter": "datum.what === 'real images never trained on'"}]},
        {
            **bars,
            "mark": {**bars["mark"], "opacity": 0.8, "tooltip": {"content": "data"}},
            "transform": [{"filter": "datum.what === 'drawn' || datum.what === 'drawn: a copy'"}],
        },
        {
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.3},
            "transform": [{"filter": "datum.what === 'drawn without a defense'"}],
            "encoding": {"x": x, "y": y, "color": color},
        },
        {
            "mark": {"type": "rule", "strokeDash": [2, 3], "strokeWidth": 1},
            "transform": [{"filter": "datum.what === 'threshold'"}],
            "encoding": {"x": x, "color": {**color, "legend": None}},
        },
    ]
    return {
        "$schema": SCHEMA,
        "data": {"name": "bars"},
        "facet": {"row": {"field": "name", "title": None, "sort": None}},
        "spacing": 10,
        "spec": {"height": 64, "layer": layers},
    }
