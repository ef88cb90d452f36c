"""What an edit reruns: dry runs on copies of a finished board, one for each edit."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Folder

pytestmark = pytest.mark.xdist_group("workflow")

SHARED, TRACK = "config/config.yaml", "config/tracks/tiny.yaml"
LIBRARY = "workflow/leakboard"
NOOP = '''"""Nothing, under another name."""

from dataclasses import dataclass

from leakboard.diffusion import Parts, Predictor


@dataclass(frozen=True)
class Defense:
    """A defense that does nothing."""

    def guard(self, parts: Parts) -> Predictor:
        """The denoiser itself."""
        return parts.denoisers[0]
'''
COMMENT = "# A remark that changes no number."

TABLES = {"gather", "rank", "page", "all"}
BOARD = {*TABLES, "figures"}


def drawn(defense: str) -> set[str]:
    """Drawing pictures from a defense, and everything that reads them."""
    return {
        f"sample {defense} 0",
        f"sample {defense} 1",
        f"preview {defense}",
        f"embed pixels {defense}",
        f"embed local-classifier {defense}",
        f"similarity pixels {defense}",
        f"copying pixels {defense}",
        f"quality local-classifier {defense}",
    }


def queried(defense: str) -> set[str]:
    """Attacks on the predictor of a defense, and their rows."""
    return {f"attack loss predictor {defense}", f"membership loss predictor {defense}"}


LOSS = {
    "attack loss weights base",
    "attack loss predictor none",
    "attack loss predictor cpsample",
    "membership loss weights none",
    "membership loss weights cpsample",
    "membership loss predictor none",
    "membership loss predictor cpsample",
}
PIA = {"attack pia weights base", "membership pia weights none", "membership pia weights cpsample"}
CPSAMPLE = drawn("cpsample") | queried("cpsample") | BOARD
DENOISERS = drawn("none") | drawn("cpsample") | LOSS | PIA | BOARD


def changed(file: str, keys: str, value: Any) -> Callable[[Folder], None]:
    """The edit that sets one value of the configuration."""
    return lambda board: board.set(file, keys, value)


def remarked(file: str) -> Callable[[Folder], None]:
    """The edit that adds a remark to a source file of the library."""
    return lambda board: board.append(f"{LIBRARY}/{file}", COMMENT)


EDITS: dict[str, tuple[Callable[[Folder], None], set[str]]] = {
    "a sampling-time param of one defense": (
        changed(SHARED, "defenses.cpsample.params.scale", 2.0),
        CPSAMPLE,
    ),
    "a track's override of that param": (
        changed(TRACK, "defenses.cpsample.params.scale", 2.0),
        CPSAMPLE,
    ),
    "a trainer's param": (
        changed(SHARED, "networks.random-labels.params.labels_seed", 1),
        {"train random-labels"} | CPSAMPLE,
    ),
    "the training steps of a network that others start from": (
        changed(TRACK, "networks.pretrained.training.steps", 7),
        {"train pretrained", "train base"} | DENOISERS,
    ),
    "the training steps of a fine-tuned network": (
        changed(TRACK, "networks.base.training.steps", 9),
        {"train base"} | DENOISERS,
    ),
    "the network of an extractor": (
        changed(TRACK, "networks.local-classifier.training.steps", 7),
        {
            "train local-classifier",
            "embed_pools local-classifier",
            "embed local-classifier none",
            "embed local-classifier cpsample",
            "quality local-classifier none",
            "quality local-classifier cpsample",
        }
        | TABLES,
    ),
    "a param of an attack that the figures show": (
        changed(SHARED, "attacks.loss.params.draws", 2),
        LOSS | BOARD,
    ),
    "a param of an attack that they do not show": (
        changed(SHARED, "attacks.pia.params.t", 50),
        PIA | TABLES,
    ),
    "what an attack sees": (
        changed(SHARED, "attacks.pia.sees", ["weights", "predictor"]),
        {
            "attack pia predictor none",
            "attack pia predictor cpsample",
            "membership pia predictor none",
            "membership pia predictor cpsample",
        }
        | BOARD,
    ),
    "two params of an attack that swap their values": (
        changed(SHARED, "attacks.loss.params", {"t": 1, "draws": 150}),
        LOSS | BOARD,
    ),
    "the calibration of the copy threshold": (
        changed(TRACK, "evaluation.calibration", 0.2),
        {"copying pixels none", "copying pixels cpsample"} | BOARD,
    ),
    "a threshold of the papers": (
        changed(TRACK, "evaluation.copy_thresholds.pixels", [0.8, 0.9]),
        {"copying pixels none", "copying pixels cpsample"} | TABLES,
    ),
    "what a paper reports": (
        changed(SHARED, "defenses.cpsample.reported", {"fid:local-classifier": 1.0}),
        {
            "copying pixels cpsample",
            "quality local-classifier cpsample",
            "membership loss weights cpsample",
            "membership loss predictor cpsample",
            "membership pia weights cpsample",
        }
        | TABLES,
    ),
    "a caveat": (
        changed(SHARED, "defenses.cpsample.caveat", "hardly trained"),
        {"rank", "page", "all"},
    ),
    "the code of a defense": (remarked("defenses/cpsample.py"), CPSAMPLE),
    "the code of an attack": (remarked("attacks/pia.py"), PIA | TABLES),
    "the code of a trainer": (
        remarked("trainers/random_labels.py"),
        {"train random-labels"} | CPSAMPLE,
    ),
    "the code of an extractor": (
        remarked("extractors/pixels.py"),
        {
            "embed_pools pixels",
            "embed pixels none",
            "embed pixels cpsample",
            "background pixels",
            "describe pixels",
            "similarity pixels none",
            "similarity pixels cpsample",
            "copying pixels none",
            "copying pixels cpsample",
        }
        | BOARD,
    ),
    "the code of a measure": (
        remarked("measures/ranking.py"),
        {"rank", "page", "all"},
    ),
    "the code of the page": (remarked("report/page.py"), {"page", "all"}),
    "the code that shows progress": (remarked("progress.py"), set()),
    "the number of jobs that share the drawing": (
        changed(TRACK, "sampling.shards", 3),
        # Cut between batches of 8, the first shard holds one batch as before.
        (drawn("none") | drawn("cpsample") | BOARD | {"sample none 2", "sample cpsample 2"})
        - {"sample none 0", "sample cpsample 0"},
    ),
    "a new network that nobody uses": (
        changed(
            SHARED,
            "networks.other",
            {"trainer": "standard", "data": "half-a", "training": {"steps": 5}},
        ),
        set(),
    ),
    "a new defense without a file": (
        changed(
            SHARED,
            "defenses.gentle",
            {
                "denoisers": ["base"],
                "method": "cpsample",
                "classifier": "random-labels",
                "params": {"scale": 1.0},
            },
        ),
        drawn("gentle")
        | queried("gentle")
        | {"membership loss weights gentle", "membership pia weights gentle"}
        | BOARD,
    ),
    "a new attack": (
        changed(SHARED, "attacks.pian", {"method": "pia", "params": {"normalize": "pian"}}),
        {
            "attack pian weights base",
            "attack pian predictor none",
            "attack pian predictor cpsample",
            "membership pian weights none",
            "membership pian weights cpsample",
            "membership pian predictor none",
            "membership pian predictor cpsample",
        }
        | BOARD,
    ),
    "a defense that is taken out": (
        lambda board: board.change(SHARED, lambda content: content["defenses"].pop("cpsample")),
        BOARD,
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_what_depends_on_it_and_nothing_else(edit: str, board: Folder) -> None:
    change, expected = EDITS[edit]
    change(board)
    assert board.jobs() == expected


def test_a_new_defense_is_one_file_and_one_entry_and_runs_only_its_own_cells(
    board: Folder,
) -> None:
    (board.path / LIBRARY / "defenses/noop.py").write_text(NOOP, encoding="utf-8")
    board.set(SHARED, "defenses.noop", {"denoisers": ["base"], "method": "noop"})
    own = {"membership loss weights noop", "membership pia weights noop"}
    assert board.jobs() == drawn("noop") | queried("noop") | own | BOARD


def test_touching_every_file_reruns_nothing(board: Folder) -> None:
    files = [f for f in board.path.rglob("*") if f.is_file() and ".snakemake" not in f.parts]
    assert sum(board.results in f.parents for f in files) > 40
    now = time.time()
    # Results become older than each of the files that they were made from.
    for age, file in enumerate(sorted(files, key=lambda f: f.stat().st_mtime_ns)):
        os.utime(file, (now - age, now - age))
    assert board.jobs() == set()


def test_a_fresh_clone_beside_old_results_reruns_nothing(board: Folder, fresh: Folder) -> None:
    shutil.rmtree(fresh.results)
    shutil.move(board.results, fresh.results)
    shutil.move(board.path / ".snakemake", fresh.path / ".snakemake")
    source, result = Path(fresh.path, "workflow/train.py"), fresh.board / "measurements.csv"
    assert source.stat().st_mtime > result.stat().st_mtime
    assert fresh.jobs() == set()


def test_the_order_of_keys_inside_entries_reruns_nothing(board: Folder) -> None:
    entries = ("networks", "extractors", "defenses", "attacks")

    def turned(content: Any, keep: int = 0) -> Any:
        """The content with the keys of every dictionary the other way around, below `keep`."""
        if not isinstance(content, dict):
            return content
        order = list(content) if keep > 0 else list(content)[::-1]
        return {
            key: turned(content[key], 1 if key in entries and not keep else keep - 1)
            for key in order
        }

    for file in (SHARED, TRACK):
        before = (board.path / file).read_text(encoding="utf-8")

        def edit(content: dict[str, Any]) -> None:
            new = turned(content)
            content.clear()
            content.update(new)

        board.change(file, edit)
        assert (board.path / file).read_text(encoding="utf-8") != before
    assert board.jobs() == set()


@pytest.mark.parametrize("section", ["networks", "extractors", "defenses", "attacks"])
def test_the_order_of_entries_is_at_most_that_of_the_rows(section: str, board: Folder) -> None:
    def edit(content: dict[str, Any]) -> None:
        content[section] = dict(reversed(content[section].items()))

    board.change(SHARED, edit)
    assert board.jobs() <= BOARD
