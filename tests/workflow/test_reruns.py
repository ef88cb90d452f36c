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

TABLES = {"gather", "rank", "cite", "page", "all"}
PICTURES = {*TABLES, "figures"}
BOARD = {*PICTURES, "compare"}


def drawn(defense: str) -> set[str]:
    """Drawing pictures from a defense, and everything that reads them."""
    return {
        f"sample {defense} 0-24",
        f"preview {defense}",
        f"embed pixels {defense}",
        f"embed local-classifier {defense}",
        f"similarity pixels {defense}",
        "copying pixels",
        "quality local-classifier",
        f"theory {defense}",
        *([f"screening {defense}"] if defense == "rejection" else []),
    }


def queried(defense: str) -> set[str]:
    """Attacks on a defense as it answers, and their rows; a bare network is asked itself."""
    own = {f"attack loss predictor {defense}"} if defense in GUARDED else set()
    return own | {
        f"attack one-step images {defense}",
        "membership loss predictor",
        "membership one-step images",
    }


def steered(*strengths: int) -> set[str]:
    """Drawing with SIDE from the one defense that it is tried on, and its neighbors and rows."""
    every = (f"distillmd side.lambda={strength}" for strength in strengths)
    return {"extraction side predictor"} | {
        job
        for drawn in every
        for job in (
            f"sample {drawn} 0-16",
            f"embed pixels {drawn}",
            f"similarity pixels {drawn}",
        )
    }


def shared(shards: int) -> set[str]:
    """Drawing, and features, by so many jobs each, cut between batches of 8."""
    every = [(name, 3) for name in EVERY] + [(f"distillmd side.lambda={s}", 2) for s in (0, 3)]
    found = set()
    for name, batches in every:
        spaces = ("pixels", "local-classifier") if batches == 3 else ("pixels",)
        for i in range(min(shards, batches)):
            found.add(f"sample {name} {8 * i}-{8 * i + 8}")
            found |= {f"embed_shard {space} {name} {8 * i}-{8 * i + 8}" for space in spaces}
    return found


def held(network: str) -> set[str]:
    """Attacks on a network."""
    return {f"attack loss weights {network}", f"attack pia weights {network}"}


def seen(attack: str, sees: str) -> set[str]:
    """All of one attack with one access: scores and rows."""
    rows = {f"membership {attack} {sees}"}
    if sees == "weights":
        return rows | {f"attack {attack} weights {network}" for network in ASKED}
    if sees == "predictor":
        return rows | {f"attack {attack} predictor {defense}" for defense in GUARDED}
    return rows | {f"attack {attack} images {name}" for name in (*DEFENSES, "never-saw-members")}


# Rows of attacks on networks. One job measures all defenses, cheap statistics: what changes one of
# them, or adds or takes one, makes these rows again, and no score or picture of another defense.
JUDGED = {"copying pixels", "quality local-classifier"}
TOLD = {"membership loss weights", "membership pia weights"}
# Who asks the classifier is told about the one defense that has one.
SIDE = steered(0, 3)
SURROGATE = {"train surrogate@distillmd"} | SIDE
EXTRACTED = {"extraction side predictor", "extraction random images", "extraction again images"}
RECOGNIZED = {"attack confidence weights random-labels", "membership confidence weights"}
DEFENSES = ("none", "cpsample", "amg", "rejection", "dualmd", "distillmd")
GUARDED = ("cpsample", "amg", "dualmd")
FINE_TUNED = ("base", "half-a", "half-b", "distilled")
ASKED = (*FINE_TUNED, "told", "early", "pretrained")
CONTROLS = ("copy-machine", "never-saw-members", "noise", "early-stop")
EVERY = (*DEFENSES, *CONTROLS)
LOSS = seen("loss", "weights") | seen("loss", "predictor")
PIA = seen("pia", "weights")
CPSAMPLE = drawn("cpsample") | queried("cpsample") | BOARD
BASED = ("none", "cpsample", "rejection")
BASE = held("base") | TOLD | BOARD
# Each is compared with none.
BASE |= {f"theory {defense}" for defense in EVERY}
BASE |= {job for defense in BASED for job in drawn(defense) | queried(defense)}
AMG = drawn("amg") | queried("amg") | BOARD
REJECTION = drawn("rejection") | queried("rejection") | BOARD
REJECTION -= {"membership loss predictor"}  # a bare network is asked itself
DISTILLED = held("distilled") | TOLD | drawn("distillmd") | queried("distillmd") | BOARD
DISTILLED |= SURROGATE | EXTRACTED
DUALMD = TOLD | drawn("dualmd") | queried("dualmd") | BOARD


def changed(file: str, keys: str, value: Any) -> Callable[[Folder], None]:
    """The edit that sets one value of the configuration."""
    return lambda board: board.set(file, keys, value)


def remarked(file: str) -> Callable[[Folder], None]:
    """The edit that adds a remark to a source file of the library."""
    return lambda board: board.append(f"{LIBRARY}/{file}", COMMENT)


def deduplicate(content: dict[str, Any]) -> None:
    """Add a network that is trained without near-duplicates, and the defense of its name."""
    entry = {**content["networks"]["base"], "training": {"steps": 8}}
    entry["dedup"] = {"extractor": "pixels", "similarity": 0.9}
    content["networks"]["unique"] = entry
    content["defenses"]["unique"] = {"denoisers": ["unique"]}


EDITS: dict[str, tuple[Callable[[Folder], object], set[str]]] = {
    "a sampling-time param of one defense": (
        changed(SHARED, "defenses.cpsample.params.scale", 2.0),
        CPSAMPLE,
    ),
    "a param of a defense that looks at members": (
        changed(SHARED, "defenses.amg.params.scale", 2.0),
        AMG,
    ),
    "what a defense lets out": (
        changed(SHARED, "defenses.rejection.params.tau", -1.0),
        REJECTION,
    ),
    "a track's override of that param": (
        changed(TRACK, "defenses.cpsample.params.scale", 2.0),
        CPSAMPLE,
    ),
    "a trainer's param": (
        changed(SHARED, "networks.random-labels.params.labels_seed", 1),
        {"train random-labels"} | RECOGNIZED | CPSAMPLE,
    ),
    "the training steps of a network that others start from": (
        changed(TRACK, "networks.pretrained.training.steps", 7),
        {f"train {name}" for name in ("pretrained", "early", *FINE_TUNED)}
        | set().union(*map(held, (*FINE_TUNED, "early", "pretrained")))
        | set().union(*map(drawn, CONTROLS))
        | {"attack one-step images never-saw-members", "extraction random images"}
        | BASE
        | DUALMD
        | DISTILLED,
    ),
    "the training steps of a fine-tuned network": (
        changed(TRACK, "networks.base.training.steps", 9),
        {"train base"} | BASE,
    ),
    "the training steps of a teacher": (
        changed(TRACK, "networks.half-a.training.steps", 9),
        {"train half-a", "train distilled"} | held("half-a") | DUALMD | DISTILLED,
    ),
    "the training steps of a student": (
        changed(TRACK, "networks.distilled.training.steps", 9),
        {"train distilled"} | DISTILLED,
    ),
    "who teaches whom": (
        changed(SHARED, "networks.distilled.teachers", {"half-a": "half-a", "half-b": "half-b"}),
        {"train distilled"} | DISTILLED,
    ),
    "the code of distillation": (remarked("trainers/distill.py"), {"train distilled"} | DISTILLED),
    "the share of the first of two models": (
        changed(SHARED, "defenses.dualmd.params", {"share": 0.75}),
        DUALMD - TOLD,
    ),
    "both models at every step, in a new defense": (
        changed(
            SHARED, "defenses.average", {"denoisers": ["half-a", "half-b"], "method": "average"}
        ),
        drawn("average") | {"attack loss predictor average"} | queried("average") | TOLD | BOARD,
    ),
    "another grid of lambdas": (
        changed(SHARED, "attacks.side.sweep", {"lambda": [0, 3, 5]}),
        steered(5) | PICTURES,
    ),
    "a coarser grid": (
        changed(SHARED, "attacks.side.sweep", {"lambda": [3]}),
        {"extraction side predictor"} | PICTURES,
    ),
    "the labels of SIDE's teacher": (
        changed(SHARED, "networks.groups.labels.classes", 4),
        {"relabel groups", "train groups"} | SURROGATE | PICTURES,
    ),
    "the training steps of SIDE's student": (
        changed(TRACK, "networks.surrogate.training.steps", 7),
        SURROGATE | PICTURES,
    ),
    "the code of SIDE": (remarked("attacks/side.py"), SIDE | PICTURES),
    "the code of its student's training": (remarked("trainers/tdkd.py"), SURROGATE | PICTURES),
    "a band of similarity": (
        changed(TRACK, "evaluation.bands", {"near": [0.8, 1.0]}),
        EXTRACTED | PICTURES,
    ),
    "an epsilon of the theory": (
        changed(TRACK, "evaluation.theory", {"epsilons": [0.2]}),
        {f"theory {defense}" for defense in EVERY} | TABLES,
    ),
    "a param of an attack that filters": (
        changed(SHARED, "attacks.again.params.clique", 3),
        {"extraction again images"} | PICTURES,
    ),
    "the network of an extractor": (
        changed(TRACK, "networks.local-classifier.training.steps", 7),
        {
            "train local-classifier",
            "embed_pools local-classifier",
            "relabel groups",
            "train groups",
            "quality local-classifier",
        }
        | SURROGATE
        | {f"embed local-classifier {d}" for d in EVERY}
        | AMG  # two defenses look at members through it
        | REJECTION,
    ),
    "a param of an attack on defenses": (
        changed(SHARED, "attacks.loss.params.draws", 2),
        LOSS | BOARD,
    ),
    "a param of an attack on networks": (
        changed(SHARED, "attacks.pia.params.t", 50),
        PIA | BOARD,
    ),
    "what an attack sees": (
        changed(SHARED, "attacks.pia.sees", ["weights", "predictor"]),
        seen("pia", "predictor") | BOARD,
    ),
    "two params of an attack that swap their values": (
        changed(SHARED, "attacks.loss.params", {"t": 1, "draws": 150}),
        LOSS | BOARD,
    ),
    "the calibration of the copy threshold": (
        changed(TRACK, "evaluation.calibration", 0.2),
        {"copying pixels"} | EXTRACTED | BOARD,
    ),
    "a threshold of the papers": (
        changed(TRACK, "evaluation.copy_thresholds.pixels", [0.8, 0.9]),
        {"copying pixels"} | TABLES,
    ),
    "what a paper reports": (
        changed(SHARED, "defenses.cpsample.reported", {"fid:local-classifier": 1.0}),
        {
            *JUDGED,
            "theory cpsample",
            "membership loss predictor",
            "membership one-step images",
            "membership confidence weights",
        }
        | TOLD
        | TABLES,
    ),
    "what the papers report": (
        lambda board: board.append("config/reported.yaml", "# A remark."),
        {"quote", "cite", "page", "all"},
    ),
    "a caveat": (
        changed(SHARED, "defenses.cpsample.caveat", "hardly trained"),
        {"rank", "page", "all"},
    ),
    "the code of a defense": (remarked("defenses/cpsample.py"), CPSAMPLE),
    "the code of an attack": (remarked("attacks/pia.py"), PIA | BOARD),
    "a param of the attack that sees no model": (
        changed(SHARED, "attacks.blind.params", {"size": 4}),
        {"attack blind nothing split", "membership blind nothing"} | TABLES,
    ),
    "the code of a trainer": (
        remarked("trainers/random_labels.py"),
        {"train random-labels"} | RECOGNIZED | CPSAMPLE,
    ),
    "the code of an extractor": (
        remarked("extractors/pixels.py"),
        {
            "embed_pools pixels",
            "background pixels",
            "describe pixels",
            "copying pixels",
        }
        | {f"{r} pixels {d}" for r in ("embed", "similarity") for d in EVERY}
        | {f"theory {d}" for d in EVERY}
        | {job for job in SIDE if not job.startswith("sample")}
        | EXTRACTED
        | BOARD,
    ),
    "the code of a measure": (
        remarked("measures/ranking.py"),
        {"rank", "page", "all"},
    ),
    "the code of the page": (remarked("report/page.py"), {"page", "all"}),
    "the code of a measuring stage": (
        remarked("stages/quality.py"),
        {"quality local-classifier"} | TABLES,
    ),
    "the code of a stage that measures several defenses": (
        remarked("stages/extraction.py"),
        EXTRACTED | PICTURES,
    ),
    "how often a defense may ruin its pictures": (
        changed(TRACK, "evaluation.gate", 2.0),
        {"rank", "page", "all"},
    ),
    "the code of a comparison": (
        remarked("measures/comparison.py"),
        {"compare", "rank", "page", "all"},
    ),
    "the code of a control": (remarked("measures/control.py"), {"rank", "page", "all"}),
    "the code of a table": (remarked("stages/rank.py"), {"rank", "page", "all"}),
    "the code that verifies, merges, and tells what there is": (
        lambda board: [remarked(f"{n}.py")(board) for n in ("verify", "merge", "incomplete")],
        set(),
    ),
    "the looks of the page": (
        lambda board: board.append("workflow/leakboard/report/leaderboard.css", "/* */"),
        {"page", "all"},
    ),
    "the code that shows progress": (remarked("progress.py"), set()),
    "the number of jobs that share the work": (
        changed(TRACK, "shards", 3),
        # The attacks ask about 80 images, less than a batch.
        (set().union(*map(drawn, EVERY), SURROGATE, EXTRACTED) | BOARD | shared(3))
        - {f"sample {d} 0-24" for d in EVERY}
        - {f"sample distillmd side.lambda={strength} 0-16" for strength in (0, 3)},
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
        | {"attack loss predictor gentle"}
        | queried("gentle")
        | TOLD
        | BOARD
        | {"membership confidence weights"},  # of the same classifier
    ),
    "a new defense that removes near-duplicates": (
        lambda board: board.change(SHARED, deduplicate),
        {"deduplicate unique", "train unique"}
        | held("unique")
        | drawn("unique")
        | queried("unique")
        | TOLD
        | BOARD,
    ),
    "a new attack": (
        changed(SHARED, "attacks.pian", {"method": "pia", "params": {"normalize": "pian"}}),
        seen("pian", "weights") | seen("pian", "predictor") | BOARD,
    ),
    "a defense that is taken out": (
        lambda board: board.change(SHARED, lambda content: content["defenses"].pop("cpsample")),
        {"membership loss predictor", "membership one-step images"} | JUDGED | TOLD | BOARD,
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_what_depends_on_it_and_nothing_else(edit: str, board: Folder) -> None:
    change, expected = EDITS[edit]
    change(board)
    assert board.jobs() == expected


def test_a_new_defense_is_one_file_and_one_entry_and_nothing_else_is_drawn_or_attacked(
    board: Folder,
) -> None:
    (board.path / LIBRARY / "defenses/noop.py").write_text(NOOP, encoding="utf-8")
    board.set(SHARED, "defenses.noop", {"denoisers": ["base"], "method": "noop"})
    own = {"attack loss predictor noop"} | queried("noop") | TOLD
    assert board.jobs() == drawn("noop") | own | BOARD


def test_a_file_that_was_lost_is_made_again_with_what_rests_on_it(board: Folder) -> None:
    # As when its job failed, in a run that an edit of its code began.
    (board.board / "scores/pia/weights/base/seed0.parquet").unlink()
    assert board.jobs() == {"attack pia weights base", "membership pia weights"} | BOARD


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
