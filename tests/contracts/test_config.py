"""Every bad input stops the run with one message: which file, which key, what to do instead."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakboard import assets, resolve
from leakboard.config import Resolved
from leakboard.digests import digest
from leakboard.errors import UserError
from leakboard.plan import Plan

ROOT = Path(__file__).parents[2]
SHARED, TRACK = "config/config.yaml", "config/tracks/digits.yaml"
SHIPPED = {
    path: yaml.safe_load((ROOT / path).read_text(encoding="utf-8")) for path in (SHARED, TRACK)
}
Edits = dict[str, Any]  # "config/config.yaml: a/b/c" -> the value to be found there

GONE = object()  # the value of a key that is removed


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Resolved]:
    """Resolve the shipped configuration with some keys changed, or with another track file."""

    def reading(edits: Edits | None = None, text: str | None = None) -> Resolved:
        content = copy.deepcopy(SHIPPED)
        content[SHARED]["tracks"] = ["digits"]
        for place, value in (edits or {}).items():
            file, path = place.split(": ")
            *parents, key = path.split("/")
            section = content[file]
            for parent in parents:
                section = section.setdefault(parent, {})
            if value is GONE:
                section.pop(key)
            else:
                section[key] = value
        track = tmp_path / TRACK
        track.parent.mkdir(parents=True, exist_ok=True)
        track.write_text(yaml.safe_dump(content[TRACK]) if text is None else text, encoding="utf-8")
        return resolve.read(content[SHARED], SHARED, [tmp_path])["digits"]

    return reading


DEDUP = f"{SHARED}: networks/deduplicated/dedup"
CPSAMPLE = f"{TRACK}: defenses/cpsample/params"
BAD = {  # what is wrong: the edit, then what the only line of the message must say
    "labels by cluster without a space": (
        {f"{SHARED}: networks/groups/labels": {"by": "cluster", "classes": 9}},
        ["networks.groups.labels.extractor", "needed for `by: cluster`"],
    ),
    "labels by cluster in an unknown space": (
        {f"{SHARED}: networks/groups/labels/extractor": "pixel"},
        ["networks.groups.labels.extractor", "no extractor 'pixel'", "did you mean 'pixels'?"],
    ),
    "labels by chance without a number of classes": (
        {f"{SHARED}: networks/groups/labels": {"by": "chance"}},
        ["networks.groups.labels.classes", "missing"],
    ),
    "a number of classes where each image is one": (
        {f"{SHARED}: networks/groups/labels": {"by": "image", "classes": 3}},
        ["networks.groups.labels.classes", "remove it"],
    ),
    "more clusters than images": (
        {f"{SHARED}: networks/groups/labels/classes": 101},
        ["networks.groups.labels.classes", "101 of 100 images", "at most 100"],
    ),
    "a denoiser that learns from drawn pictures": (
        {f"{SHARED}: networks/base": {"trainer": "standard", "data": "drawn"}},
        ["networks.base.data", "for students", "a denoiser"],
    ),
    "a student with labels of its own": (
        {f"{SHARED}: networks/surrogate/labels": {"by": "image"}},
        ["networks.surrogate.labels", "remove it"],
    ),
    "a student of a denoiser": (
        {f"{SHARED}: networks/surrogate/teachers": {"drawn": "base"}},
        ["networks.surrogate.teachers.drawn", "'base' is a denoiser, expected a encoder"],
    ),
    "SIDE without a classifier": (
        {
            f"{SHARED}: attacks/side/classifier": None,
            f"{TRACK}: attacks/side/sweep": {"lambda": [2]},
        },
        ["attacks.side.lambda=2.classifier", "'side' needs classifier"],
    ),
    "SIDE with CPSample's classifier": (
        {
            f"{SHARED}: attacks/side/classifier": "random-labels",
            f"{TRACK}: attacks/side/sweep": {"lambda": [2]},
        },
        ["attacks.side.lambda=2.classifier", "a classifier, expected a student or an encoder"],
    ),
    "SIDE on finished pictures": (
        {f"{SHARED}: attacks/side/sees": "images", f"{TRACK}: attacks/side/sweep": {"lambda": [2]}},
        ["attacks.side.lambda=2.sees", "predictor or weights, not images"],
    ),
    "a lambda below zero": (
        {f"{TRACK}: attacks/side/sweep/lambda": [-1]},
        ["attacks.side.lambda=-1.params.lambda", "greater than or equal to 0"],
    ),
    "a membership attack steered by a classifier": (
        {f"{SHARED}: attacks/loss/classifier": "surrogate"},
        ["attacks.loss.classifier", "'loss' uses no classifier"],
    ),
    "an attack against nobody": (
        {f"{SHARED}: attacks/loss/against": ["cpsampel"]},
        ["attacks.loss.against", "did you mean 'cpsample'?"],
    ),
    "a family of membership attacks": (
        {f"{SHARED}: attacks/loss/family": "losses"},
        ["attacks.loss.family", "remove it"],
    ),
    "more pictures for attacks than plain ones": (
        {f"{TRACK}: sampling/extraction_images": 2000},
        [TRACK, "sampling.extraction_images", "2000", "1000"],
    ),
    "a band upside down": (
        {f"{TRACK}: evaluation/bands": {"mine": [0.9, 0.8]}},
        [TRACK, "evaluation.bands.mine", "expected [low, high]"],
    ),
    "a band with a name that is taken": (
        {f"{TRACK}: evaluation/bands": {"copy": [0.8, 0.9]}},
        [TRACK, "evaluation.bands.copy", "choose another"],
    ),
    "a theory in an unknown space": (
        {f"{TRACK}: evaluation/theory": {"extractor": "pixel"}},
        [TRACK, "evaluation.theory.extractor", "did you mean 'pixels'?"],
    ),
    "an unknown top-level key": (
        {f"{SHARED}: netwroks": {}},
        [SHARED, "netwroks", "unknown key", "did you mean 'networks'?"],
    ),
    "an unknown top-level key in a track": (
        {f"{TRACK}: samplng": {}},
        [TRACK, "samplng", "unknown key", "did you mean 'sampling'?"],
    ),
    "an unknown key deep in a track": (
        {f"{TRACK}: sampling/stepz": 3},
        [TRACK, "sampling.stepz", "unknown key", "did you mean 'steps'?"],
    ),
    "an unknown key in an entry": (
        {f"{SHARED}: defenses/cpsample/parmas": {}},
        [SHARED, "defenses.cpsample.parmas", "did you mean 'params'?"],
    ),
    "an unknown key in a network's training": (
        {f"{TRACK}: networks/base/training/stepz": 3},
        [TRACK, "networks.base.training.stepz", "did you mean 'steps'?"],
    ),
    "a missing key": ({f"{TRACK}: sampling/images": GONE}, [TRACK, "sampling.images", "missing"]),
    "a misspelled network among the denoisers": (
        {f"{SHARED}: defenses/cpsample/denoisers": ["bsae"]},
        [SHARED, "defenses.cpsample.denoisers", "'bsae'", "did you mean 'base'?"],
    ),
    "a misspelled classifier": (
        {f"{SHARED}: defenses/cpsample/classifier": "random-label"},
        [SHARED, "defenses.cpsample.classifier", "did you mean 'random-labels'?"],
    ),
    "a misspelled teacher": (
        {f"{SHARED}: networks/kd/teachers": {"members": "bse"}},
        [SHARED, "networks.kd.teachers.members", "did you mean 'base'?"],
    ),
    "teachers whom nobody listens to": (
        {f"{SHARED}: networks/base/teachers": {"members": "pretrained"}},
        [SHARED, "networks.base.teachers", "'standard' uses no teachers"],
    ),
    "a student without a teacher": (
        {f"{SHARED}: networks/kd/teachers": {}},
        [SHARED, "networks.kd.teachers", "'distill' needs teachers"],
    ),
    "a teacher for one half alone": (
        {f"{SHARED}: networks/distilled/teachers": {"half-a": "half-b"}},
        [SHARED, "networks.distilled.teachers", "members or half-a and half-b", "got half-a"],
    ),
    "a teacher that is a classifier": (
        {f"{SHARED}: networks/kd/teachers": {"members": "random-labels"}},
        [SHARED, "networks.kd.teachers.members", "'random-labels' is a classifier"],
    ),
    "more duplicated images than members": (
        {f"{TRACK}: subset/duplicates": {"images": 101, "times": 2}},
        [TRACK, "subset.duplicates.images", "101 of 100 members", "at most 100"],
    ),
    "an image that is repeated once": (
        {f"{TRACK}: subset/duplicates": {"images": 10, "times": 1}},
        [TRACK, "subset.duplicates.times", "greater than or equal to 2", "got 1"],
    ),
    "no duplicated image": (
        {f"{TRACK}: subset/duplicates": {"images": 0, "times": 2}},
        [TRACK, "subset.duplicates.images", "greater than or equal to 1", "got 0"],
    ),
    "duplicates of which only the number is given": (
        {f"{TRACK}: subset/duplicates": {"images": 10}},
        [TRACK, "subset.duplicates.times", "missing"],
    ),
    "an unknown key in a section that may be absent": (
        {f"{TRACK}: subset/duplicates": {"images": 10, "times": 2, "time": 2}},
        [TRACK, "subset.duplicates.time", "unknown key", "did you mean 'times'?"],
    ),
    "an unknown key in a deduplication": (
        {f"{DEDUP}/similarty": 0.9},
        [SHARED, "networks.deduplicated.dedup.similarty", "did you mean 'similarity'?"],
    ),
    "a deduplication in an unknown space": (
        {f"{DEDUP}/extractor": "pixel"},
        [SHARED, "networks.deduplicated.dedup.extractor", "no extractor 'pixel'", "mean 'pixels'?"],
    ),
    "a deduplication at more than identical": (
        {f"{DEDUP}/similarity": 1.1},
        [
            SHARED,
            "networks.deduplicated.dedup.similarity",
            "from -1 to 1 (identical)",
            "cosine",
            "1.1",
        ],
    ),
    "a deduplication at a similarity that is a distance": (
        {f"{DEDUP}/extractor": "local-classifier", f"{DEDUP}/similarity": 0.5},
        [SHARED, "networks.deduplicated.dedup.similarity", "from -inf to 0 (identical)", "l2"],
    ),
    "a deduplication that needs the network it is for": (
        {f"{SHARED}: networks/local-sscd/dedup": {"extractor": "local-sscd", "similarity": 0.9}},
        [SHARED, "networks.local-sscd", "local-sscd -> local-sscd"],
    ),
    "two deduplications that need each other": (
        {
            f"{SHARED}: networks/{name}/dedup": {"extractor": other, "similarity": -1.0}
            for name, other in (
                ("local-sscd", "local-classifier"),
                ("local-classifier", "local-sscd"),
            )
        },
        [SHARED, "networks.local-classifier", "local-sscd -> local-classifier"],
    ),
    "an unknown way to label duplicates": (
        {f"{SHARED}: networks/random-labels/params": {"duplicates": "oposite"}},
        [SHARED, "networks.random-labels.params.duplicates", "'opposite'", "'oposite'"],
    ),
    "too few members to halve": (
        {
            f"{TRACK}: subset/members": 3,
            f"{TRACK}: evaluation/neighbors": 3,
            f"{SHARED}: networks/groups/labels/classes": 3,
        },
        [TRACK, "subset.members", "3 are too few to halve", "at least 4"],
    ),
    "one denoiser for two models that take turns": (
        {f"{SHARED}: defenses/dualmd/denoisers": ["half-a"]},
        [SHARED, "defenses.dualmd.denoisers", "takes 2, got 1"],
    ),
    "an attack on noise that sees images only": (
        {f"{SHARED}: attacks/loss/sees": "images"},
        [SHARED, "attacks.loss.sees", "weights or predictor, not images"],
    ),
    "an attack on a service that sees weights": (
        {f"{SHARED}: attacks/reconstruction/sees": ["weights", "images"]},
        [SHARED, "attacks.reconstruction.sees", "images, not weights"],
    ),
    "more rounds than steps": (
        {f"{TRACK}: attacks/adaptive": {"params": {"steps": 2, "rounds": 3}}},
        [TRACK, "attacks.adaptive.params.rounds", "at most params.steps (2)", "got 3"],
    ),
    "a track that extends nobody": (
        {f"{TRACK}: extends": "digts"},
        [TRACK, "extends", "'digts' not found", "did you mean 'digits'?"],
    ),
    "a track that extends itself": (
        {f"{TRACK}: extends": "digits"},
        [TRACK, "extends", "digits -> digits"],
    ),
    "a track that extends a list": (
        {f"{TRACK}: extends": ["digits"]},
        [TRACK, "extends", "name of a track"],
    ),
    "a classifier that is a denoiser": (
        {f"{SHARED}: defenses/cpsample/classifier": "base"},
        [SHARED, "defenses.cpsample.classifier", "'base' is a denoiser", "a classifier"],
    ),
    "a denoiser that is a classifier": (
        {f"{SHARED}: defenses/cpsample/denoisers": ["random-labels"]},
        [SHARED, "defenses.cpsample.denoisers", "'random-labels' is a classifier", "a denoiser"],
    ),
    "an encoder that is a denoiser": (
        {f"{SHARED}: extractors/local-sscd/network": "base"},
        [SHARED, "extractors.local-sscd.network", "'base' is a denoiser"],
    ),
    "an unknown defense method": (
        {f"{SHARED}: defenses/cpsample/method": "cpsampel"},
        [SHARED, "defenses.cpsample", "method 'cpsampel'", "did you mean 'cpsample'?"],
    ),
    "an unknown attack method": (
        {f"{SHARED}: attacks/loss/method": "los"},
        [SHARED, "attacks.loss", "method 'los'", "did you mean 'loss'?"],
    ),
    "an unknown param": (
        {f"{CPSAMPLE}/alhpa": 0.1},
        [TRACK, "defenses.cpsample.params.alhpa", "unknown param", "did you mean 'alpha'?"],
    ),
    "text for a number": ({f"{CPSAMPLE}/alpha": "big"}, [TRACK, "params.alpha", "number", "'big'"]),
    "true for a number": ({f"{CPSAMPLE}/alpha": True}, [TRACK, "params.alpha", "number", "True"]),
    "alpha 0": ({f"{CPSAMPLE}/alpha": 0}, [TRACK, "params.alpha", "greater than 0"]),
    "alpha 0.7": ({f"{CPSAMPLE}/alpha": 0.7}, [TRACK, "params.alpha", "less than", "0.5", "0.7"]),
    "a negative scale": ({f"{CPSAMPLE}/scale": -1}, [TRACK, "params.scale", "greater than", "-1"]),
    "a scale that is not a number": ({f"{CPSAMPLE}/scale": float("nan")}, [TRACK, "params.scale"]),
    "an unknown choice": (
        {f"{CPSAMPLE}/stabilizer": "maybe"},
        [TRACK, "params.stabilizer", "'logit'", "'maybe'"],
    ),
    "more images than there are": (
        {
            f"{TRACK}: subset/members": 1000,
            f"{TRACK}: subset/held_out": 798,
            f"{SHARED}: networks/groups/labels/classes": 2,
        },
        [TRACK, "members + held_out = 1798", "1797", "fewer"],
    ),
    "more neighbors than members": (
        {
            f"{TRACK}: subset/members": 40,
            f"{TRACK}: evaluation/neighbors": 41,
            f"{SHARED}: networks/groups/labels/classes": 40,
        },
        [TRACK, "evaluation.neighbors", "41", "at most 40"],
    ),
    "a rejection that judges its own pictures": (
        {f"{SHARED}: defenses/rejection/extractor": "local-sscd"},
        [SHARED, "defenses.rejection.extractor", "'local-sscd' sees what 'local-sscd'"],
    ),
    "a rejection that judges its own pictures under another name": (
        {
            f"{SHARED}: extractors/twin": {"method": "descriptor", "network": "local-sscd"},
            f"{SHARED}: defenses/rejection/extractor": "twin",
        },
        [SHARED, "defenses.rejection.extractor", "'twin' sees what 'local-sscd'"],
    ),
    "a headline judge that a rejection uses": (
        {
            f"{TRACK}: defenses/amg.main": None,
            f"{TRACK}: defenses/amg.strong": None,
            f"{TRACK}: evaluation/copies": "pixels",
        },
        [SHARED, TRACK, "defenses.rejection.extractor", "'pixels' sees what 'pixels'"],
    ),
    "a misspelled extractor of a defense": (
        {f"{SHARED}: defenses/rejection/extractor": "pixel"},
        [SHARED, "defenses.rejection.extractor", "no extractor 'pixel'", "did you mean 'pixels'?"],
    ),
    "a rejection that looks nowhere": (
        {f"{SHARED}: defenses/rejection/extractor": None},
        [SHARED, "defenses.rejection.extractor", "'rejection' needs extractor"],
    ),
    "an extractor for a method that looks for no member": (
        {f"{SHARED}: defenses/cpsample/extractor": "pixels"},
        [SHARED, "defenses.cpsample.extractor", "'cpsample' uses no extractor"],
    ),
    "no try at all": (
        {f"{SHARED}: defenses/rejection/params/tries": 0},
        [SHARED, "defenses.rejection.params.tries", "greater than or equal to 1"],
    ),
    "denoisers with and without classes in one defense": (
        {f"{SHARED}: defenses/dualmd/denoisers": ["half-a", "class-conditional"]},
        [SHARED, "defenses.dualmd.denoisers", "class-conditional knows classes"],
    ),
    "a network without classes that starts from one with them": (
        {f"{SHARED}: networks/base/init": "class-conditional"},
        [SHARED, "networks.base.init", "'class-conditional' and 'base', only one knows classes"],
    ),
    "a network with classes that starts from one without": (
        {f"{SHARED}: networks/class-conditional/init": "pretrained"},
        [SHARED, "networks.class-conditional.init", "only one knows classes"],
    ),
    "a teacher with classes for a student without": (
        {f"{SHARED}: networks/kd/teachers": {"members": "class-conditional"}},
        [SHARED, "networks.kd.teachers.members", "'class-conditional' knows classes"],
    ),
    "every class left out": (
        {f"{SHARED}: networks/class-conditional/params": {"dropout": 1}},
        [SHARED, "networks.class-conditional.params.dropout", "less than 1"],
    ),
    "a negative guidance": (
        {f"{TRACK}: sampling/guidance": -1},
        [TRACK, "sampling.guidance", "greater than or equal to 0"],
    ),
    "a network that starts from itself": (
        {f"{SHARED}: networks/base/init": "base"},
        [SHARED, "networks.base", "base -> base"],
    ),
    "a control that saw members": (
        {f"{SHARED}: defenses/never-saw-members/denoisers": ["base"]},
        [SHARED, "defenses.never-saw-members.role", "base learned from members"],
    ),
    "a control that was taught by who saw members": (
        {f"{SHARED}: defenses/never-saw-members/denoisers": ["distilled"]},
        [SHARED, "defenses.never-saw-members.role", "learned from half-a, half-b, members"],
    ),
    "another role for the undefended model": (
        {f"{SHARED}: defenses/none/role": "noise"},
        [SHARED, "defenses.none.role", "the undefended model"],
    ),
    "a cycle of two networks": (
        {f"{SHARED}: networks/pretrained/init": "base"},
        [SHARED, "networks.base", "base -> pretrained -> base"],
    ),
    "a cycle through a teacher": (
        {
            f"{SHARED}: networks/base/trainer": "distill",
            f"{SHARED}: networks/base/teachers": {"members": "kd"},
        },
        [SHARED, "networks.base", "base -> kd -> base"],
    ),
    "an init that is neither network nor folder": (
        {f"{SHARED}: networks/base/init": "pretraind"},
        [SHARED, "networks.base.init", "neither", "did you mean 'pretrained'?"],
    ),
    "training on held-out images": (
        {f"{SHARED}: networks/base/data": "held-out"},
        [SHARED, "networks.base.data", "'members'", "'held-out'"],
    ),
    "a track without a file": (
        {f"{SHARED}: tracks": ["digts"]},
        [SHARED, "tracks", "'digts' not found", "did you mean 'digits'?"],
    ),
    "no tracks": ({f"{SHARED}: tracks": []}, [SHARED, "tracks", "at least 1"]),
    "no undefended network": (
        {f"{TRACK}: defenses/none": None},
        [SHARED, "defenses", "'none' is missing"],
    ),
    "an extractor that is not defined": (
        {f"{TRACK}: evaluation/quality": "pixel"},
        [TRACK, "evaluation", "no extractor 'pixel'", "did you mean 'pixels'?"],
    ),
    "a headline extractor that is not measured": (
        {
            f"{TRACK}: evaluation/copies": "local-sscd",
            f"{TRACK}: evaluation/extractors": ["pixels"],
        },
        [TRACK, "evaluation.copies", "evaluation.extractors"],
    ),
    "text for a network's training steps": (
        {f"{TRACK}: networks/base/training/steps": "lots"},
        [TRACK, "networks.base.training.steps", "integer", "'lots'"],
    ),
    "a learning rate of 0": (
        {f"{TRACK}: networks/base/training/lr": 0},
        [TRACK, "networks.base.training.lr", "greater than 0"],
    ),
    "a sweep that is not a list": (
        {f"{SHARED}: defenses/cpsample/sweep": {"alpha": 0.5}},
        [SHARED, "defenses.cpsample.sweep.alpha", "list", "0.5"],
    ),
    "an empty sweep": (
        {f"{SHARED}: defenses/cpsample/sweep": {"alpha": []}},
        [SHARED, "defenses.cpsample.sweep", "list of values"],
    ),
    "a swept value out of range": (
        {f"{SHARED}: defenses/cpsample/sweep": {"alpha": [0.1, 0.7]}},
        [SHARED, "defenses.cpsample.alpha=0.7", "less than or equal to 0.5"],
    ),
    "an attacker who sees everything": (
        {f"{SHARED}: attacks/loss/sees": ["everything"]},
        [SHARED, "attacks.loss.sees", "'images' or 'nothing'", "'everything'"],
    ),
    "a name that cannot be a folder": (
        {f"{SHARED}: defenses/a b": {"denoisers": ["base"]}},
        [SHARED, "defenses.a b", "match"],
    ),
    "an entry that is a number": (
        {f"{TRACK}: defenses/cpsample": 3},
        [TRACK, "defenses.cpsample", "3"],
    ),
    "a section that is a list": ({f"{SHARED}: networks": ["base"]}, [SHARED, "networks"]),
    "an unknown trainer": (
        {f"{SHARED}: networks/base/trainer": "standrad"},
        [SHARED, "networks.base", "did you mean 'standard'?"],
    ),
    "two splits at once": (
        {
            f"{TRACK}: subset/split": "split.npz",
            f"{TRACK}: subset/files": {"members": "a/*", "held_out": "b/*"},
        },
        [TRACK, "subset: `split` and `files`", "leave one"],
    ),
    "a split by file without strangers": (
        {f"{TRACK}: subset/files": {"members": "a/*"}},
        [TRACK, "subset.files.held_out", "missing"],
    ),
    "an unknown way to split by file": (
        {f"{TRACK}: subset/files": {"members": "a/*", "held_out": "b/*", "heldout": "b/*"}},
        [TRACK, "subset.files.heldout", "unknown key", "did you mean 'held_out'?"],
    ),
    "a limit that leaves too few": (
        {f"{TRACK}: dataset/limit": 1000},
        [TRACK, "dataset.limit: 1000", "members + held_out = 1100"],
    ),
    "a size of nothing": (
        {f"{TRACK}: dataset/size": 0},
        [TRACK, "dataset.size", "greater than or equal to 1", "got 0"],
    ),
    "a size that is no number": (
        {f"{TRACK}: dataset/size": True},
        [TRACK, "dataset.size", "valid integer", "got True"],
    ),
    "a crop of another shape": (
        {f"{TRACK}: dataset/crop": "circle"},
        [TRACK, "dataset.crop: ", "number of pixels, or square", "got 'circle'"],
    ),
    "a crop of nothing": (
        {f"{TRACK}: dataset/crop": 0},
        [TRACK, "dataset.crop: ", "number of pixels, or square", "got 0"],
    ),
    "an unknown filter": (
        {f"{TRACK}: dataset/filter": "nearest"},
        [TRACK, "dataset.filter", "'lanczos', 'bicubic', 'bilinear' or 'box'"],
    ),
    "an unknown key of the dataset": (
        {f"{TRACK}: dataset/resize": 32},
        [TRACK, "dataset.resize", "unknown key"],
    ),
    "an unknown dataset method": (
        {f"{TRACK}: dataset/method": "digit"},
        [TRACK, "dataset", "did you mean 'digits'?"],
    ),
    "a dataset without its path": (
        {f"{TRACK}: dataset": {"method": "folder"}},
        [TRACK, "dataset.params.path"],
    ),
    "a track's sweep that is a number": (
        {f"{TRACK}: defenses/cpsample": {"sweep": 5}},
        [TRACK, "defenses.cpsample.sweep", "list"],
    ),
    "a misspelled name in a track's overrides": (
        {f"{TRACK}: defenses/cpsampel": {"params": {"scale": 3}}},
        [TRACK, "defenses.cpsampel", "did you mean 'cpsample'?"],
    ),
    "text for a param of two types": (
        {f"{TRACK}: attacks/loss/params/t": "soon"},
        [TRACK, "params.t:", "'soon'"],
    ),
    "an infinite scale": (
        {f"{CPSAMPLE}/scale": float("inf")},
        [TRACK, "params.scale", "inf"],
    ),
    "true for a number of steps": (
        {f"{TRACK}: networks/base/training/steps": True},
        [TRACK, "networks.base.training.steps", "True"],
    ),
    "a threshold in an unknown space": (
        {f"{TRACK}: evaluation/copy_thresholds": {"pixel": [0.9]}},
        [TRACK, "evaluation.copy_thresholds", "did you mean 'pixels'?"],
    ),
    "a denoiser that starts from a classifier": (
        {f"{SHARED}: networks/base/init": "random-labels"},
        [SHARED, "networks.base.init", "'random-labels' is a classifier"],
    ),
    "cpsample without a classifier": (
        {f"{SHARED}: defenses/cpsample/classifier": None},
        [SHARED, "defenses.cpsample", "classifier"],
    ),
    "two denoisers for a method of one": (
        {f"{SHARED}: defenses/none/denoisers": ["base", "pretrained"]},
        [SHARED, "defenses.none", "denoisers"],
    ),
    "a defended `none`": (
        {
            f"{SHARED}: defenses/none/method": "cpsample",
            f"{SHARED}: defenses/none/classifier": "random-labels",
        },
        [SHARED, "defenses.none"],
    ),
    "an attack beyond the last noise level": (
        {f"{TRACK}: attacks/loss": {"params": {"t": 1000}}},
        [TRACK, "attacks.loss", "1000"],
    ),
    "more sampler steps than noise levels": (
        {f"{TRACK}: sampling/steps": 1001},
        [TRACK, "sampling.steps", "1000"],
    ),
    "a negative seed": (
        {f"{TRACK}: seeds": [-1]},
        [TRACK, "seeds", "-1"],
    ),
    "the same seed twice": (
        {f"{TRACK}: seeds": [0, 0]},
        [TRACK, "seeds"],
    ),
}
CASES = [pytest.param(*case, id=name) for name, case in BAD.items()]


@pytest.mark.parametrize(("edits", "said"), CASES)
def test_a_bad_input_stops_with_one_line_that_names_file_and_key(
    read: Callable[..., Resolved], edits: Edits, said: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        read(edits)
    (line,) = str(error.value).splitlines()
    for part in said:
        assert part in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("about: [1, 2\nseeds: 3", "not valid YAML", id="broken brackets"),
        pytest.param("about: a\n\tseeds: [0]", "not valid YAML", id="a tab"),
        pytest.param("- just\n- a list", "expected keys and values", id="a list"),
        pytest.param("digits", "expected keys and values", id="text"),
        pytest.param("", "expected keys and values", id="nothing"),
    ],
)
def test_a_track_file_that_is_no_mapping_is_named(
    read: Callable[..., Resolved], text: str, said: str
) -> None:
    with pytest.raises(UserError, match=said) as error:
        read(text=text)
    assert str(error.value).startswith(f"{TRACK}: ")


def test_a_track_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    track = tmp_path / TRACK
    track.parent.mkdir(parents=True)
    track.write_bytes(b"about: caf\xe9\n")
    with pytest.raises(UserError, match=re.escape(TRACK)):
        resolve.read({**SHIPPED[SHARED], "tracks": ["digits"]}, SHARED, [tmp_path])


def test_two_wrong_keys_of_a_file_are_reported_at_once(read: Callable[..., Resolved]) -> None:
    with pytest.raises(UserError) as error:
        read({f"{TRACK}: sampling/stepz": 3, f"{TRACK}: subset/members": "many"})
    lines = sorted(str(error.value).splitlines())
    assert len(lines) == 2
    assert "sampling.stepz" in lines[0]
    assert "subset.members" in lines[1]


def test_two_wrong_params_of_an_entry_are_reported_at_once(read: Callable[..., Resolved]) -> None:
    with pytest.raises(UserError) as error:
        read({f"{CPSAMPLE}/alpha": 0.7, f"{CPSAMPLE}/scale": -1})
    first, second = str(error.value).splitlines()
    for line, key in ((first, "params.alpha"), (second, "params.scale")):
        assert SHARED in line
        assert f"defenses.cpsample.{key}" in line


def test_wrong_keys_of_two_entries_are_reported_at_once(read: Callable[..., Resolved]) -> None:
    with pytest.raises(UserError) as error:
        read({f"{CPSAMPLE}/alpha": 0.7, f"{TRACK}: attacks/loss/params/draws": 0})
    said = str(error.value)
    assert "defenses.cpsample.params.alpha" in said
    assert "attacks.loss.params.draws" in said


# --- what a good configuration means -------------------------------------------------------------


def test_the_shipped_configuration_reads() -> None:
    boards = resolve.read(SHIPPED[SHARED], SHARED, [ROOT])
    assert list(boards) == SHIPPED[SHARED]["tracks"]
    assert all("none" in board.defenses for board in boards.values())


@pytest.mark.parametrize("track", sorted(p.stem for p in (ROOT / "config/tracks").glob("*.yaml")))
def test_every_shipped_track_reads(track: str) -> None:
    board = resolve.read({**SHIPPED[SHARED], "tracks": [track]}, SHARED, [ROOT])[track]
    if not assets.asked([board]):  # test_tracks.py has those that read something from elsewhere
        assert Plan(board).digests()


def test_the_first_folder_that_has_a_track_wins(tmp_path: Path) -> None:
    mine = tmp_path / TRACK
    mine.parent.mkdir(parents=True)
    mine.write_text(yaml.safe_dump({**SHIPPED[TRACK], "about": "mine"}), encoding="utf-8")
    shared = {**SHIPPED[SHARED], "tracks": ["digits"]}
    assert resolve.read(shared, SHARED, [tmp_path, ROOT])["digits"].track.about == "mine"
    assert resolve.read(shared, SHARED, [ROOT, tmp_path])["digits"].track.about != "mine"


def test_a_track_that_extends_another_says_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "config/tracks/less.yaml"
    file.parent.mkdir(parents=True)
    less = {"extends": "digits", "subset": {"members": 80}, "defenses": {"cpsample": None}}
    file.write_text(yaml.safe_dump(less), encoding="utf-8")
    shared = {**SHIPPED[SHARED], "tracks": ["less", "digits"]}
    boards = resolve.read(shared, SHARED, [tmp_path, ROOT])
    one, whole = boards["less"], boards["digits"]
    assert one.track.subset.members == 80
    assert one.track.subset.held_out == whole.track.subset.held_out
    assert one.track.architecture == whole.track.architecture
    assert set(whole.defenses) - set(one.defenses) == {"cpsample"}
    assert one.track.extends is None


def test_a_track_that_extends_another_takes_nothing_of_another_dataset(tmp_path: Path) -> None:
    file = tmp_path / "config/tracks/less.yaml"
    file.parent.mkdir(parents=True)
    shared = {**SHIPPED[SHARED], "tracks": ["less"]}

    def read(dataset: dict[str, Any]) -> Any:
        file.write_text(yaml.safe_dump({"extends": "celeba-1k", "dataset": dataset}))
        return resolve.read(shared, SHARED, [tmp_path, ROOT])["less"].track.dataset

    same = read({"limit": 6000})
    assert (same.method, same.crop, same.size, same.limit) == ("celeba", 128, 64, 6000)
    other = read({"method": "lsun", "params": {"path": "churches"}})
    assert other.params == {"path": "churches"}
    assert (other.crop, other.size, other.limit) == (None, None, None)


def test_a_sweep_makes_one_entry_per_value_named_by_it(read: Callable[..., Resolved]) -> None:
    board = read({f"{SHARED}: defenses/cpsample/sweep": {"alpha": [0.1, 0.5]}})
    swept = [name for name in board.defenses if name.startswith("cpsample")]
    assert swept == ["cpsample.alpha=0.1", "cpsample.alpha=0.5"]
    one = board.defenses["cpsample.alpha=0.5"]
    assert one.params == {**read().defenses["cpsample"].params, "alpha": 0.5}
    assert one.classifier == "random-labels"
    assert not one.sweep


def test_a_sweep_of_two_params_makes_every_combination(read: Callable[..., Resolved]) -> None:
    board = read({f"{SHARED}: attacks/loss/sweep": {"t": [50, 100], "draws": [1, 2]}})
    swept = {name: entry.params for name, entry in board.attacks.items() if name.startswith("loss")}
    assert swept == {
        f"loss.t={t},draws={draws}": {"t": t, "draws": draws} for t in (50, 100) for draws in (1, 2)
    }


def test_a_swept_list_makes_a_name_that_can_be_a_folder(read: Callable[..., Resolved]) -> None:
    board = read({f"{SHARED}: attacks/loss/sweep": {"t": [[100, 200], 300]}})
    assert all(re.fullmatch(r"[A-Za-z0-9.,=_+-]+", name) for name in board.attacks)


def test_a_track_changes_single_params_of_a_shared_name(read: Callable[..., Resolved]) -> None:
    before = read({CPSAMPLE: {}}).defenses["cpsample"]
    after = read({CPSAMPLE: {"scale": 7}}).defenses["cpsample"]
    assert after.params == {**before.params, "scale": 7.0}
    assert before.params["scale"] != 7
    assert after.denoisers == before.denoisers
    assert after.paper == before.paper


def test_a_track_adds_an_entry_of_its_own(read: Callable[..., Resolved]) -> None:
    board = read({f"{TRACK}: attacks/early": {"method": "loss", "params": {"t": 20}}})
    assert board.attacks["early"].params["t"] == 20


def test_null_in_a_track_leaves_an_entry_out(read: Callable[..., Resolved]) -> None:
    everything = read({f"{TRACK}: {key}": {} for key in ("networks", "defenses", "attacks")})
    left_out = {"networks": {}, "defenses": {"cpsample": None}, "attacks": {"pia": None}}
    board = read({f"{TRACK}: {key}": value for key, value in left_out.items()})
    assert set(everything.defenses) - set(board.defenses) == {"cpsample"}
    assert set(everything.attacks) - set(board.attacks) == {"pia"}


def test_a_network_takes_what_it_does_not_say_from_the_track(read: Callable[..., Resolved]) -> None:
    common = {"batch_size": 8, "lr": 0.125, "steps": 10}
    own = {"base": {"training": {"steps": 3}}}
    board = read({f"{TRACK}: training": common, f"{TRACK}: networks": own})
    picked = {key: board.networks["base"].training[key] for key in common}
    assert picked == {**common, "steps": 3}
    assert board.networks["pretrained"].training["steps"] == 10
    assert board.networks["base"].training["weight_decay"] == 0.0  # a default, filled in


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        (f"{CPSAMPLE}/eps", lambda board: board.defenses["cpsample"].params["eps"]),
        (f"{TRACK}: networks/base/training/lr", lambda b: b.networks["base"].training["lr"]),
        (f"{TRACK}: noise/beta_start", lambda board: board.track.noise.beta_start),
    ],
)
def test_an_exponent_that_yaml_takes_for_text_is_a_number(
    read: Callable[..., Resolved], place: str, shown: Callable[[Resolved], Any]
) -> None:
    assert yaml.safe_load("1e-3") == "1e-3"  # what makes this test necessary
    assert shown(read({place: "1e-3"})) == 0.001


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.25", "2.5e-1"), ("16", "16.0"), ("0.001", "1e-3"), ("1.0", "1"), ("0.50", "0.5")],
)
def test_two_spellings_of_a_number_have_one_digest(
    read: Callable[..., Resolved], one: str, other: str
) -> None:
    digests = set()
    for text in (one, other, "3.125"):  # the last one is another number
        value = yaml.safe_load(text)
        board = read({f"{CPSAMPLE}/scale": value, f"{TRACK}: networks/base/training/lr": value})
        plan = Plan(board)
        digests.add((digest(plan.train("base", 0)), digest(plan.samples("cpsample", "plain", 0))))
    assert len(digests) == 2
    assert len({part for pair in digests for part in pair}) == 4


def test_the_order_of_keys_does_not_matter(read: Callable[..., Resolved]) -> None:
    turned = dict(reversed(SHIPPED[TRACK].items()))
    assert list(turned) != list(SHIPPED[TRACK])
    text = yaml.safe_dump(turned, sort_keys=False)
    assert Plan(read(text=text)).digests() == Plan(read()).digests()


def test_a_subset_is_made_anew_for_another_crop_or_split_and_not_for_what_goes_without_saying(
    read: Callable[..., Resolved],
) -> None:
    made = [
        digest(Plan(read({f"{TRACK}: {key}": value for key, value in edits.items()})).subset())
        for edits in (
            {},
            {"dataset/crop": "square"},
            {"dataset/size": 8},
            {"dataset/size": 8, "dataset/filter": "box"},
            {"dataset/limit": 1200},
            {"subset/split": "split.npz"},
            {"subset/files": {"members": "a/*", "held_out": "b/*"}},
        )
    ]
    assert len(set(made)) == len(made)
    silent = {"dataset/crop": None, "dataset/filter": "box", "subset/split": None}
    same = read({f"{TRACK}: {key}": value for key, value in silent.items()})
    assert digest(Plan(same).subset()) == made[0]


def test_all_that_a_dataset_and_a_split_read_from_outside_are_assets(
    read: Callable[..., Resolved],
) -> None:
    one = {f"{TRACK}: dataset": {"method": "npz", "params": {"path": ["b.npz", "a.npz"]}}}
    two = {f"{TRACK}: subset/split": "split.npz"}
    assert assets.asked([read()]) == []
    assert assets.asked([read(one), read(two)]) == ["a.npz", "b.npz", "split.npz"]
    faces = {"path": "faces", "identity": "who.txt"}
    found = read({f"{TRACK}: dataset": {"method": "celeba", "params": faces}})
    assert assets.asked([found]) == ["faces", "who.txt"]


def test_a_resolved_board_is_plain_data(read: Callable[..., Resolved]) -> None:
    board = read().model_dump()
    assert json.loads(json.dumps(board)) == board


def test_against_stands_for_a_whole_sweep_and_forgets_who_is_left_out(
    read: Callable[..., Resolved],
) -> None:
    some = {f"{TRACK}: attacks/loss/against": ["none", "cpsample", "amg.main"]}
    swept = read({**some, f"{SHARED}: defenses/cpsample/sweep": {"scale": [4, 16]}})
    assert swept.attacks["loss"].against == ["none", "cpsample.scale=4", "cpsample.scale=16"]
    assert read(some).attacks["loss"].against == ["none", "cpsample"]  # digits has no amg.main
    gone = read({f"{TRACK}: attacks/loss/against": ["amg.main"]})
    assert "loss" not in gone.attacks
    assert read().attacks["loss"].against == []  # all of them
