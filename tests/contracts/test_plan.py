"""What depends on what: an edit changes the digests of all that it should, and of nothing else."""

import ast
import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakboard import leftovers, needs, plugins, resolve
from leakboard.digests import canonical, digest
from leakboard.drawings import curves as roc_curves
from leakboard.plan import PLAIN, Plan
from leakboard.sources import content, imports, sources, stamp

ROOT = Path(__file__).parents[2]
STEPS, LIBRARY = ROOT / "workflow", ROOT / "workflow" / "leakboard"
TRACK = yaml.safe_load((ROOT / "config/tracks/digits.yaml").read_text(encoding="utf-8"))
NETWORKS = {
    "pretrained": {"trainer": "standard", "data": "reference"},
    "base": {"trainer": "standard", "data": "members", "init": "pretrained"},
    "half-a": {"trainer": "standard", "data": "half-a", "init": "pretrained"},
    "half-b": {"trainer": "standard", "data": "half-b", "init": "pretrained"},
    "distilled": {
        "trainer": "distill",
        "data": "members",
        "teachers": {"half-a": "half-b", "half-b": "half-a"},
    },
    "random-labels": {"trainer": "random-labels", "data": "members"},
    "local-sscd": {"trainer": "copy-detection", "data": "reference"},
}
SHARED: dict[str, Any] = {
    "tracks": ["digits"],
    "networks": NETWORKS,
    "extractors": {
        "pixels": {"method": "pixels"},
        "local-sscd": {"method": "descriptor", "network": "local-sscd"},
    },
    "defenses": {
        "none": {"denoisers": ["base"]},
        "cpsample": {
            "denoisers": ["base"],
            "method": "cpsample",
            "classifier": "random-labels",
            "params": {"alpha": 0.25, "scale": 0.5},
        },
        "distillmd": {"denoisers": ["distilled"]},
    },
    "attacks": {
        "loss": {"method": "loss", "params": {"t": 100, "draws": 8}},
        "secmi": {"method": "secmi", "sees": ["weights"], "params": {"t": 100, "k": 10}},
    },
}
SEED = 0


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """A plan of a small board; edits are `section/name/key=value`, `track/...` is the track's."""

    def planned(edits: dict[str, Any] | None = None) -> Plan:
        content = {**copy.deepcopy(SHARED), "track": copy.deepcopy(TRACK)}
        for section in ("networks", "extractors", "defenses", "attacks"):
            content["track"][section] = {}
        content["track"]["training"] = {"steps": 5, "lr": 0.002}
        content["track"]["evaluation"] |= {"extractors": ["pixels", "local-sscd"]}
        content["track"]["evaluation"] |= {"copies": "local-sscd", "quality": "pixels"}
        content["track"]["seeds"] = [SEED]
        for path, value in (edits or {}).items():
            *parents, key = path.split("/")
            place = content
            for parent in parents:
                place = place.setdefault(parent, {})
            place[key] = copy.deepcopy(value)
        file = tmp_path / "config/tracks/digits.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content.pop("track")), encoding="utf-8")
        return Plan(resolve.read(content, "config/config.yaml", [tmp_path])["digits"])

    return planned


NAMES = ("extractor", "attack", "sees", "defense", "sampler", "seed")  # in this order


def artefacts(plan: Plan) -> dict[str, str]:
    """The digest of every artefact of a board, by what it is."""
    board, specs = plan.board, {"subset": plan.subset()}
    for name in board.networks:
        specs[f"train {name}"] = plan.train(name, SEED)
    for extractor in board.extractors:
        specs[f"pools {extractor}"] = plan.embed_pools(extractor)
        for name in board.defenses:
            specs[f"embed {extractor} {name}"] = plan.embed(extractor, name, PLAIN, SEED)
            specs[f"similarity {extractor} {name}"] = plan.similarity(extractor, name, PLAIN, SEED)
    for name in board.defenses:
        specs[f"samples {name}"] = plan.samples(name, PLAIN, SEED)
    for attack, sees in plan.attacks:
        for by, target in plan.targets(attack, sees):
            specs[f"attack {attack} {by} {target}"] = plan.attack(attack, by, target, SEED)
    for stage, files in plan.cells().items():
        for names in files:
            for cell in plan.measured(stage, **names):
                own = {**names, "defense": cell["about"]["defense"]}
                kept = [str(own[key]) for key in NAMES if own.get(key, "") != ""]
                specs[" ".join([stage, *kept])] = cell
    specs["gather"], specs["rank"] = plan.gather(), plan.rank()
    return {name: digest(spec) for name, spec in specs.items()}


def changed(plan: Callable[..., Plan], edits: dict[str, Any]) -> set[str]:
    """What an edit of the configuration makes anew."""
    before, after = artefacts(plan()), artefacts(plan(edits))
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def stage(names: set[str], stage: str) -> set[str]:
    """The names among them that belong to a stage, without it."""
    return {name.partition(" ")[2] for name in names if name.partition(" ")[0] == stage}


@pytest.mark.parametrize(
    ("what", "stages"),
    [
        ("attack", {"attack", "membership"}),
        ("samples", {"samples", "embed", "similarity", "copying", "quality"}),
        ("train", {"train", "samples", "attack", "pools", "similarity", "quality", "membership"}),
    ],
)
def test_another_precision_makes_anew_what_it_changes_and_fp32_says_nothing(
    what: str, stages: set[str], plan: Callable[..., Plan]
) -> None:
    plain = plan()
    before, after = artefacts(plain), artefacts(Plan(plain.board, {what: "bf16"}))
    assert artefacts(Plan(plain.board, {})) == before
    edited = {name.partition(" ")[0] for name in before if before[name] != after[name]}
    assert stages | {"gather", "rank"} <= edited
    assert "subset" not in edited
    if what == "attack":
        assert edited == stages | {"gather", "rank"}
        assert "precision" not in plain.attack("secmi", "weights", "base", SEED)
    if what == "samples":
        assert not edited & {"train", "attack", "pools", "membership"}


def test_extractors_answer_in_fp32_whatever_a_profile_says(plan: Callable[..., Plan]) -> None:
    plain = plan()
    fast = Plan(plain.board, dict.fromkeys(("attack", "samples", "train"), "bf16"))
    assert "bf16" in canonical(fast.samples("none", PLAIN, SEED))
    for name in plain.board.extractors:
        assert "precision" not in canonical(fast.embed(name, "none", PLAIN, SEED))
        assert "precision" not in canonical(fast.embed_pools(name))
    assert fast.embed_pools("pixels") == plain.embed_pools("pixels")


def test_no_edit_changes_nothing(plan: Callable[..., Plan]) -> None:
    assert changed(plan, {}) == set()


def test_artefacts_of_different_names_have_different_digests(plan: Callable[..., Plan]) -> None:
    digests = artefacts(plan())
    assert len(digests) > 40
    assert len(set(digests.values())) == len(digests)


def test_a_sampling_time_param_changes_its_pictures_and_no_training(
    plan: Callable[..., Plan],
) -> None:
    made = changed(plan, {"defenses/cpsample/params/alpha": 0.3})
    assert stage(made, "train") == stage(made, "pools") == set()
    assert stage(made, "samples") == {"cpsample"}
    assert stage(made, "embed") == {"pixels cpsample", "local-sscd cpsample"}
    assert stage(made, "attack") == {"loss predictor cpsample"}
    assert all("cpsample" in name for name in stage(made, "copying") | stage(made, "quality"))
    assert "rank" in made


def test_a_trainer_param_changes_that_network_and_who_uses_it(plan: Callable[..., Plan]) -> None:
    made = changed(plan, {"networks/random-labels/params": {"labels_seed": 1}})
    assert stage(made, "train") == {"random-labels"}
    assert stage(made, "samples") == {"cpsample"}
    assert stage(made, "attack") == {"loss predictor cpsample"}


def test_a_network_s_training_changes_what_starts_from_it_and_whom_it_teaches(
    plan: Callable[..., Plan],
) -> None:
    start = changed(plan, {"networks/pretrained/training": {"steps": 6}})
    assert stage(start, "train") == {"pretrained", "base", "half-a", "half-b", "distilled"}
    teacher = changed(plan, {"networks/half-a/training": {"steps": 6}})
    assert stage(teacher, "train") == {"half-a", "distilled"}
    assert stage(teacher, "samples") == {"distillmd"}


def test_who_teaches_whom_matters(plan: Callable[..., Plan]) -> None:
    turned = {"half-a": "half-a", "half-b": "half-b"}
    made = changed(plan, {"networks/distilled/teachers": turned})
    assert stage(made, "train") == {"distilled"}


def test_an_attack_s_param_changes_its_scores_and_rows_alone(plan: Callable[..., Plan]) -> None:
    made = changed(plan, {"attacks/loss/params/draws": 9})
    assert {name.split()[0] for name in made} == {"attack", "membership", "gather", "rank"}
    assert all(name.startswith("loss ") for name in stage(made, "attack"))
    assert all(name.startswith("loss ") for name in stage(made, "membership"))
    assert (
        len(stage(made, "attack")) == 2 + 1
    )  # two networks, and one predictor that guards its own


def test_a_threshold_changes_rows_and_no_artefact(plan: Callable[..., Plan]) -> None:
    made = changed(plan, {"track/evaluation/copy_thresholds/pixels": [0.123]})
    assert {name.split()[0] for name in made} == {"copying", "gather", "rank"}
    assert all(name.startswith("pixels ") for name in stage(made, "copying"))


def test_another_neighbor_search_changes_what_is_read_from_it_and_no_features(
    plan: Callable[..., Plan],
) -> None:
    made = changed(plan, {"track/evaluation/index": "ivf"})
    stages = {name.partition(" ")[0] for name in made}
    assert stages == {"similarity", "describe", "copying", "gather", "rank"}
    assert len(stage(made, "similarity")) == len(plan().board.extractors) * len(
        plan().board.defenses
    )


def test_training_with_mirrored_images_has_copies_searched_among_mirrored_ones_too(
    plan: Callable[..., Plan],
) -> None:
    flipped = {"networks/base/training": {"flip": True}}
    assert (plan().mirrored, plan(flipped).mirrored) == (False, True)
    made = changed(plan, flipped)
    assert stage(made, "pools") == set(plan().board.extractors)
    assert len(stage(made, "similarity")) == len(stage(artefacts(plan()).keys(), "similarity"))
    classifier = {"networks/random-labels/training": {"flip": True}}
    assert not plan(classifier).mirrored, "no picture is drawn from a classifier alone"


def test_a_caveat_changes_the_ranking_alone(plan: Callable[..., Plan]) -> None:
    assert changed(plan, {"defenses/cpsample/caveat": "a new remark"}) == {"rank"}


def test_the_split_changes_everything(plan: Callable[..., Plan]) -> None:
    assert changed(plan, {"track/subset/seed": 1}) == artefacts(plan()).keys()


UNIQUE = {
    "trainer": "standard",
    "data": "members",
    "init": "pretrained",
    "dedup": {"extractor": "local-sscd", "similarity": 0.9},
}
DEDUPED = {"networks/unique": UNIQUE, "defenses/dedup": {"denoisers": ["unique"]}}


def test_planted_duplicates_change_everything(plan: Callable[..., Plan]) -> None:
    before = artefacts(plan())
    ten = {"track/subset/duplicates": {"images": 10, "times": 10}}
    assert changed(plan, ten) == before.keys()
    nine = {"track/subset/duplicates": {"images": 10, "times": 9}}
    assert not set(artefacts(plan(ten)).values()) & set(artefacts(plan(nine)).values())


def test_a_threshold_of_deduplication_changes_that_network_and_what_depends_on_it(
    plan: Callable[..., Plan],
) -> None:
    student = {**NETWORKS["distilled"], "teachers": {"members": "unique"}}
    board = {**DEDUPED, "networks/student": student}
    before = artefacts(plan(board))
    later = {"networks/unique": {**UNIQUE, "dedup": {**UNIQUE["dedup"], "similarity": 0.8}}}
    after = artefacts(plan(board | later))
    made = {name for name in before if before[name] != after[name]}
    assert stage(made, "train") == {"unique", "student"}
    assert stage(made, "samples") == {"dedup"}
    assert stage(made, "attack") == {"loss weights unique", "secmi weights unique"}
    rows = stage(made, "copying") | stage(made, "quality") | stage(made, "membership")
    assert rows
    assert all("dedup" in name for name in rows)
    assert "subset" not in made
    assert not stage(made, "pools")


def test_a_network_without_deduplication_depends_on_no_feature_space(
    plan: Callable[..., Plan],
) -> None:
    retrained = {"networks/local-sscd/training": {"steps": 6}}
    assert stage(changed(plan, retrained), "train") == {"local-sscd"}
    before, after = artefacts(plan(DEDUPED)), artefacts(plan(DEDUPED | retrained))
    made = {name for name in before if before[name] != after[name]}
    assert stage(made, "train") == {"local-sscd", "unique"}


def test_a_deduplication_needs_its_judge_with_the_first_seed_alone(
    plan: Callable[..., Plan],
) -> None:
    made = plan(DEDUPED | {"track/seeds": [5, 6]})
    assert needs.dedup(made, "unique") == [{}]
    assert needs.compared(made, "unique") == [{"extractor": "local-sscd"}]
    assert needs.encoder(made, "local-sscd") == [{"network": "local-sscd", "seed": 5}]
    assert needs.dedup(made, "base") == needs.compared(made, "base") == []
    assert made.train("unique", 5)["dedup"] == made.train("unique", 6)["dedup"]
    assert made.train("unique", 5)["dedup"] == digest(made.deduplicate("unique"))
    trained = [(n["network"], n["seed"]) for n in needs.trainings(made)]
    assert [seed for name, seed in trained if name == "local-sscd"] == [5]
    assert [seed for name, seed in trained if name == "unique"] == [5, 6]
    assert made.closure(["unique"]).index("local-sscd") < made.closure(["unique"]).index("unique")
    assert made.urgency("local-sscd") > made.urgency("unique")
    assert "local-sscd" not in made.denoisers  # whose loss curves are drawn together
    assert "local-sscd" in made.rank()["trainings"]["dedup"]  # which the defense pays for
    assert "local-sscd" not in made.rank()["trainings"]["none"]


def test_rows_about_duplicates_are_asked_for_where_there_are_some(
    plan: Callable[..., Plan],
) -> None:
    planted = {"track/subset/duplicates": {"images": 2, "times": 2}}
    cell = {"extractor": "pixels", "defense": "none", "sampler": PLAIN, "seed": SEED}
    assert plan().copied(**cell)["duplicated"] is None
    assert plan(planted).copied(**cell)["duplicated"] is not None


def test_swapping_two_values_changes_the_digest(plan: Callable[..., Plan]) -> None:
    params = SHARED["defenses"]["cpsample"]["params"]
    assert params["alpha"] != params["scale"]
    swapped = {"alpha": params["scale"], "scale": params["alpha"]}
    assert stage(changed(plan, {"defenses/cpsample/params": swapped}), "samples") == {"cpsample"}


def test_a_new_defense_makes_only_its_own_cells(plan: Callable[..., Plan]) -> None:
    before = artefacts(plan())
    after = artefacts(plan({"defenses/half": {"denoisers": ["half-a"]}}))
    kept = {name for name in before if before[name] == after[name]}
    assert before.keys() - kept == {"gather", "rank"}
    assert all("half" in name for name in after.keys() - before.keys())


def test_the_white_box_scores_of_two_defenses_on_one_network_are_one_file(
    plan: Callable[..., Plan],
) -> None:
    plan = plan()
    base = [("weights", "base")]
    assert plan.scored("weights", "cpsample") == plan.scored("weights", "none") == base
    assert plan.scored("predictor", "cpsample") == [("predictor", "cpsample")]
    rows = [plan.audit("loss", "weights", name, SEED) for name in ("none", "cpsample")]
    assert rows[0]["scores"] == rows[1]["scores"]
    seen = [plan.audit("loss", "predictor", name, SEED) for name in ("none", "cpsample")]
    assert seen[0]["scores"] != seen[1]["scores"]
    assert plan.targets("loss", "weights") == [*base, ("weights", "distilled")]


def test_who_sees_the_weights_of_two_networks_attacks_both(plan: Callable[..., Plan]) -> None:
    pair = {"denoisers": ["half-a", "half-b"], "method": "alternate"}
    plan = plan({"defenses/pair": pair})
    assert plan.scored("weights", "pair") == [("weights", "half-a"), ("weights", "half-b")]
    rows = plan.audit("loss", "weights", "pair", SEED)
    assert rows["targets"] == ["half-a", "half-b"]
    assert len(set(rows["scores"])) == 2


def test_a_predictor_that_nothing_guards_is_its_network_and_is_asked_once(
    plan: Callable[..., Plan],
) -> None:
    plan = plan()
    assert plan.scored("predictor", "none") == plan.scored("weights", "none")
    assert plan.scored("predictor", "distillmd") == [("weights", "distilled")]
    assert plan.scored("images", "none") == [("images", "none")]  # a service noises, rounds, clips


BESIDES = {
    "attacks/confidence": {"method": "classifier-confidence"},
    "attacks/blind": {"method": "blind"},
}


def test_who_asks_the_classifier_tells_only_about_defenses_that_have_one(
    plan: Callable[..., Plan],
) -> None:
    made = plan(BESIDES)
    assert made.audited("confidence", "weights") == ["cpsample"]
    assert made.targets("confidence", "weights") == [("weights", "random-labels")]
    names = {"attack": "confidence", "sees": "weights", "seed": SEED}
    (cell,) = made.measured("membership", **names)
    assert cell["about"]["defense"] == "cpsample"
    assert needs.scores(made, **names) == [{"sees": "weights", "target": "random-labels"}]
    assert needs.queried(made, "weights", "random-labels", SEED) == [{"network": "random-labels"}]
    spec = made.attack("confidence", "weights", "random-labels", SEED)
    assert spec["target"] == digest(made.train("random-labels", SEED))
    wanted = {name: entry["attacks"] for name, entry in made.rank()["defenses"].items()}
    others = [("loss", "weights"), ("loss", "predictor"), ("secmi", "weights")]
    assert wanted["none"] == others
    assert wanted["cpsample"] == [*others, ("confidence", "weights")]
    edits = [{**BESIDES, "networks/random-labels/params": {"labels_seed": seed}} for seed in (0, 1)]
    before, after = (artefacts(plan(edit)) for edit in edits)
    made_anew = {name for name in before if before[name] != after[name]}
    assert "confidence weights random-labels" in stage(made_anew, "attack")
    assert f"confidence weights cpsample {SEED}" in stage(made_anew, "membership")


def test_nobody_asks_a_classifier_where_no_defense_has_one(plan: Callable[..., Plan]) -> None:
    made = plan({**BESIDES, "defenses/cpsample": {"denoisers": ["base"]}})
    assert ("confidence", "weights") not in made.attacks
    assert "confidence" not in {names["attack"] for names in made.cells()["membership"]}


def test_a_blind_attack_is_run_once_and_depends_on_the_split_alone(
    plan: Callable[..., Plan],
) -> None:
    made = plan({**BESIDES, "track/seeds": [3, 4]})
    assert made.audited("blind", "nothing") == [""]
    assert made.targets("blind", "nothing") == [("nothing", "split")]
    blind = [names for names in made.cells()["membership"] if names["attack"] == "blind"]
    assert blind == [{"attack": "blind", "sees": "nothing", "seed": 3}]
    assert needs.queried(made, "nothing", "split", SEED) == []
    assert made.plugins("attack", attack="blind", sees="nothing", target="split") == {
        "attacks": "blind"
    }
    assert not any(attack == "blind" for attack, *_ in roc_curves(made))
    own = {name: d for name, d in artefacts(plan(BESIDES)).items() if "blind" in name}
    assert len(own) == 2
    for edit in ({"track/training": {"steps": 6, "lr": 0.002}}, {"defenses/new": NONE}):
        other = artefacts(plan({**BESIDES, **edit}))
        assert {name: other[name] for name in own} == own
    other = artefacts(plan({**BESIDES, "track/subset/held_out": 900}))
    assert not {other[name] for name in own} & set(own.values())


NONE = {"denoisers": ["base"]}


def test_another_seed_is_another_training_sampling_and_attack(plan: Callable[..., Plan]) -> None:
    plan = plan()
    for one, other in [
        (plan.train("base", 0), plan.train("base", 1)),
        (plan.samples("none", PLAIN, 0), plan.samples("none", PLAIN, 1)),
        (plan.attack("loss", "weights", "base", 0), plan.attack("loss", "weights", "base", 1)),
    ]:
        assert digest(one) != digest(other)


def test_the_closure_is_in_an_order_in_which_networks_can_be_made(
    plan: Callable[..., Plan],
) -> None:
    plan = plan()
    order = plan.closure(["distilled", "base"])
    assert sorted(order) == ["base", "distilled", "half-a", "half-b", "pretrained"]
    for name in order:
        for needed in [*plan.init_of(name), *plan.teachers_of(name)]:
            assert order.index(needed) < order.index(name)
    assert plan.closure([]) == []


def test_rules_ask_with_text_and_get_the_same_spec(plan: Callable[..., Plan]) -> None:
    plan = plan()
    asked = plan.of("samples", track="digits", defense="none", sampler=PLAIN, seed="0")
    assert asked == plan.samples("none", PLAIN, 0)
    piece = plan.of(
        "sample", track="digits", defense="none", sampler=PLAIN, seed="0", shard="0-1000"
    )
    assert piece == plan.sample("none", PLAIN, 0, "0-1000")


# --- defenses that screen, networks that know classes ---------------------------------------------

REJECTION = {
    "denoisers": ["base"],
    "method": "rejection",
    "extractor": "pixels",
    "params": {"tau": 0.9},
}
LABELED = {
    "networks/labeled": {"trainer": "class-conditional", "data": "members"},
    "defenses/labeled": {"denoisers": ["labeled"]},
    "defenses/labeled-cpsample": {
        "denoisers": ["labeled"],
        "method": "cpsample",
        "classifier": "random-labels",
    },
}
SERVICE = {"attacks/service": {"method": "reconstruction"}}
MORE = {"defenses/rejection": REJECTION, **LABELED, **SERVICE}


def rejecting(**more: Any) -> dict[str, Any]:
    return {"defenses/rejection": {**REJECTION, **more}}


@pytest.mark.parametrize("param", [{"tau": 0.8}, {"tau": 0.9, "tries": 3}])
def test_a_param_of_a_screen_draws_that_defense_s_pictures_anew_and_nothing_else(
    plan: Callable[..., Plan], param: dict[str, Any]
) -> None:
    before, after = (artefacts(plan({**MORE, **edit})) for edit in ({}, rejecting(params=param)))
    made = {name for name in before if before[name] != after[name]}
    assert before.keys() == after.keys()
    assert stage(made, "train") == stage(made, "pools") == set()
    assert stage(made, "samples") == {"rejection"}
    # The network's own scores stay; only a service shows what was screened.
    assert stage(made, "attack") == {"service images rejection"}
    assert stage(made, "membership") == {f"service images rejection {SEED}"}
    assert made - {"gather", "rank"} == {name for name in made if "rejection" in name}
    assert f"rejection {PLAIN} {SEED}" in stage(made, "screening")


def test_another_space_to_look_in_draws_anew_with_its_encoder_trained(
    plan: Callable[..., Plan],
) -> None:
    local = {
        "extractors/pixels-too": {"method": "pixels"},
        "extractors/classifier": {"method": "classifier-features", "network": "eye"},
        "networks/eye": {"trainer": "labels", "data": "reference"},
    }
    by_pixels, by_eye = (
        plan({**local, **rejecting(extractor=name)}) for name in ("pixels-too", "classifier")
    )
    specs = [p.samples("rejection", PLAIN, SEED) for p in (by_pixels, by_eye)]
    assert digest(specs[0]) != digest(specs[1])
    assert specs[1]["guard"]["extractor"]["network"] == digest(by_eye.train("eye", SEED))
    assert needs.networks(by_eye, "rejection", SEED) == [
        {"network": "base", "seed": SEED},
        {"network": "eye", "seed": SEED},
    ]
    assert needs.networks(by_pixels, "rejection", SEED) == [{"network": "base", "seed": SEED}]
    seeds = plan({**local, **rejecting(extractor="classifier"), "track/seeds": [4, 5]})
    assert needs.networks(seeds, "rejection", 5)[1] == {"network": "eye", "seed": 4}
    trained = [pair for pair in needs.trainings(seeds) if pair["network"] == "eye"]
    assert trained == [{"network": "eye", "seed": 4}]  # once, whatever the number of seeds


def test_screening_is_measured_of_exactly_the_defenses_that_screen(
    plan: Callable[..., Plan],
) -> None:
    assert plan().cells()["screening"] == []
    made = plan({**MORE, "track/seeds": [0, 1]})
    expected = [{"defense": "rejection", "sampler": PLAIN, "seed": seed} for seed in (0, 1)]
    assert made.cells()["screening"] == expected
    assert [name for name in made.board.defenses if made.screens(name)] == ["rejection"]
    assert needs.cells(made, "screening") == expected


def test_a_predictor_behind_a_screen_is_its_network_and_its_service_is_its_own(
    plan: Callable[..., Plan],
) -> None:
    made = plan(MORE)
    for sees in ("weights", "predictor"):
        assert made.scored(sees, "rejection") == [("weights", "base")]
    assert made.scored("images", "rejection") == [("images", "rejection")]
    rows = [made.audit("loss", "predictor", name, SEED) for name in ("none", "rejection")]
    assert rows[0]["scores"] == rows[1]["scores"]
    rows = [made.audit("service", "images", name, SEED) for name in ("none", "rejection")]
    assert rows[0]["scores"] != rows[1]["scores"]


def test_the_board_says_in_whose_sight_a_defense_acts_and_who_judges_it(
    plan: Callable[..., Plan],
) -> None:
    own = {**rejecting(caveat="its own words"), "defenses/none/caveat": ""}
    said = {name: d["caveat"] for name, d in plan(own).rank()["defenses"].items()}
    assert said["rejection"].startswith("its own words; ")
    assert "acts on what pixels shows it" in said["rejection"]
    assert "copies are judged by local-sscd" in said["rejection"]
    assert "numbers in the space of pixels are low by construction" in said["rejection"]
    assert said["none"] == said["cpsample"] == ""
    unseen = {**own, "track/evaluation/extractors": ["local-sscd"]}
    caveat = plan(unseen).rank()["defenses"]["rejection"]["caveat"]
    assert "copies are judged by local-sscd" in caveat
    assert "by construction" not in caveat


@pytest.mark.parametrize("guidance", [0, 1, 1.5])
def test_a_guided_predictor_is_scored_on_its_own_and_an_unguided_one_is_its_network(
    plan: Callable[..., Plan], guidance: float
) -> None:
    made = plan({**MORE, "track/sampling/guidance": guidance})
    network, itself = [("weights", "labeled")], [("predictor", "labeled")]
    assert made.scored("predictor", "labeled") == (network if guidance == 1 else itself)
    assert made.scored("weights", "labeled") == made.scored("weights", "labeled-cpsample")
    assert made.scored("weights", "labeled") == network
    for bare in ("none", "rejection"):  # without classes nothing is guided
        assert made.scored("predictor", bare) == [("weights", "base")]


def test_guidance_draws_anew_where_classes_are_known_and_nowhere_else(
    plan: Callable[..., Plan],
) -> None:
    # From one guidance to another: at 1 a predictor is its network, and has no scores of its own.
    before, after = (artefacts(plan({**MORE, "track/sampling/guidance": w})) for w in (2, 3))
    made = {name for name in before if before[name] != after[name]}
    assert before.keys() == after.keys()
    assert stage(made, "train") == set()
    assert stage(made, "samples") == {"labeled", "labeled-cpsample"}
    assert stage(made, "attack") == {
        f"{attack} {sees} {name}"
        for attack, sees in (("loss", "predictor"), ("service", "images"))
        for name in ("labeled", "labeled-cpsample")
    }


def test_the_share_of_classes_left_out_trains_that_network_anew(plan: Callable[..., Plan]) -> None:
    taught = {**LABELED["networks/labeled"], "params": {"dropout": 0.2}}
    before, after = (artefacts(plan({**MORE, **e})) for e in ({}, {"networks/labeled": taught}))
    made = {name for name in before if before[name] != after[name]}
    assert stage(made, "train") == {"labeled"}
    assert stage(made, "samples") == {"labeled", "labeled-cpsample"}


# --- extraction ----------------------------------------------------------------------------------


GRID = {
    "networks/groups": {
        "trainer": "labels",
        "data": "members",
        "labels": {"by": "cluster", "extractor": "pixels", "classes": 5},
    },
    "networks/surrogate": {"trainer": "tdkd", "data": "drawn", "teachers": {"drawn": "groups"}},
    "attacks/random": {"method": "random"},
    "attacks/side": {
        "method": "side",
        "sees": ["predictor"],
        "classifier": "surrogate",
        "sweep": {"lambda": list(range(51))},
    },
    "track/shards": 4,
    "track/sampling/extraction_images": None,
}


def drawings(planned: Plan) -> dict[tuple[Any, ...], str]:
    """(source, sampler, shard) -> the digest of every job that an extraction attack draws with."""
    return {
        (source, sampler, shard): digest(planned.sample(source, sampler, SEED, shard))
        for family, sees in planned.extractions
        for source in planned.drawn_from(family, sees)
        for sampler in planned.samplers(family)
        for shard in planned.shards(sampler)
    }


def test_every_lambda_and_shard_is_a_job_of_its_own(plan: Callable[..., Plan]) -> None:
    found = drawings(plan(GRID))
    # `none` and `distillmd` are drawn from as they are, `cpsample` as it guards; plain ones too.
    steered = {key for key in found if key[1] != PLAIN}
    assert {source for source, _, _ in steered} == {"none", "cpsample", "distillmd"}
    assert len(steered) == 3 * 51 * 4
    assert len(set(found.values())) == len(found)


def test_another_grid_draws_the_new_lambdas_alone(plan: Callable[..., Plan]) -> None:
    few = {**GRID, "attacks/side/sweep": {"lambda": [2, 5]}}
    before, after = drawings(plan(few)), drawings(plan(GRID))
    assert before.items() <= after.items()
    assert {sampler for _, sampler, _ in after.keys() - before.keys()} == {
        f"side.lambda={strength}" for strength in range(51) if strength not in (2, 5)
    }
    students = [digest(p.train("surrogate@none", SEED)) for p in (plan(few), plan(GRID))]
    assert students[0] == students[1]


def test_a_student_is_trained_for_each_source_on_what_it_draws(plan: Callable[..., Plan]) -> None:
    planned = plan(GRID)
    one, other = (planned.train(f"surrogate@{name}", SEED) for name in ("none", "cpsample"))
    assert one["drawn"] == digest(planned.samples("none", PLAIN, SEED)) != other["drawn"]
    assert one["teachers"] == other["teachers"] == {"drawn": digest(planned.train("groups", SEED))}
    pushed = plan({**GRID, "defenses/cpsample/params": {"alpha": 0.25, "scale": 9.0}})
    assert pushed.train("surrogate@none", SEED) == one
    assert pushed.train("surrogate@cpsample", SEED) != other
    # Of what needs it: the pictures that it steers name it, and who draws plainly does not.
    assert needs.networks(planned, "cpsample", 0, "side.lambda=3")[-1]["network"] == (
        "surrogate@cpsample"
    )
    names = [each["network"] for each in needs.networks(planned, "cpsample", 0)]
    assert names == ["base", "random-labels"]


def test_other_labels_train_the_teacher_and_its_students_anew(plan: Callable[..., Plan]) -> None:
    before = plan(GRID)
    after = plan({**GRID, "networks/groups/labels": {"by": "image"}})
    for name in ("groups", "surrogate@none"):
        assert before.train(name, SEED) != after.train(name, SEED)
    assert before.train("base", SEED) == after.train("base", SEED)
    assert before.samples("none", PLAIN, SEED) == after.samples("none", PLAIN, SEED)


def test_who_sees_the_weights_draws_from_each_raw_network(plan: Callable[..., Plan]) -> None:
    pair = {"denoisers": ["half-a", "half-b"], "method": "alternate"}
    planned = plan({**GRID, "defenses/dualmd": pair, "attacks/side/sees": ["weights", "predictor"]})
    assert planned.sources("weights", "dualmd") == ["@half-a", "@half-b"]
    assert planned.sources("predictor", "dualmd") == ["dualmd"]
    # What `none` draws is what the raw network draws: nothing is drawn twice.
    assert planned.sources("weights", "cpsample") == ["none"]
    raw = planned.guard("@half-a", SEED)
    assert (raw["method"], raw["denoisers"]) == ("none", [digest(planned.train("half-a", SEED))])
    assert planned.train("surrogate@@half-a", SEED)["drawn"] == digest(
        planned.samples("@half-a", PLAIN, SEED)
    )
    half = {**pair, "denoisers": ["half-a"], "method": "none"}
    shared = plan({**GRID, "defenses/dualmd": pair, "defenses/half": half})
    assert shared.sources("weights", "dualmd") == ["half", "@half-b"]


def test_an_attack_against_some_defenses_makes_no_other_cells(plan: Callable[..., Plan]) -> None:
    some = plan({**GRID, "attacks/side/against": ["cpsample"], "attacks/loss/against": ["none"]})
    cells = some.extraction("side", "predictor", SEED)["cells"]
    assert {cell["about"]["defense"] for cell in cells} == {"cpsample"}
    assert len(cells) == 51 + 1  # and the family, over its grid
    assert {source for source, sampler, _ in drawings(some) if sampler != PLAIN} == {"cpsample"}
    audited = some.membership("loss", "predictor", SEED)["cells"]
    assert [cell["about"]["defense"] for cell in audited] == ["none"]


def test_extraction_is_compared_at_equal_n(plan: Callable[..., Plan]) -> None:
    planned = plan({**GRID, "track/sampling/extraction_images": 300})
    assert planned.pictures() == 1000
    assert planned.pictures("side.lambda=3") == 300
    for family, sees in planned.extractions:
        assert {c["images"] for c in planned.extraction(family, sees, SEED)["cells"]} == {300}


def test_a_grid_counts_by_its_best_and_another_attack_by_itself_and_who_picks_comes_last(
    plan: Callable[..., Plan],
) -> None:
    filters = {"attacks/filter": {"method": "generate-and-filter"}}
    apart = {"attacks/side/sweep": {"lambda": [3]}, "attacks/side/sees": ["predictor", "weights"]}
    copy, best = "copy:local-sscd", "copy:local-sscd:best"

    def told(edits: dict[str, Any]) -> list[tuple[str, ...]]:
        planned = plan(edits)
        assert planned.rank()["contenders"] == planned.page()["contenders"]
        return [tuple(each.values()) for each in planned.page()["contenders"]]

    random, picks = ("random", "images", copy, copy, ""), ("filter", "images", copy, copy)
    grid = ("side", "predictor", best, f"{best}-random", "")
    every = [random, grid, (*picks, "local-sscd")]
    assert told(filters | GRID) == told(dict(reversed((filters | GRID).items()))) == every
    single = [("side.lambda=3", sees, copy, "", "") for sees in ("predictor", "weights")]
    assert told(GRID | apart) == [random, *single]
    assert told({}) == []
    assert plan({}).figures()["grids"] == plan(GRID | apart).figures()["grids"] == {}


def test_a_roc_curve_is_of_the_scores_that_its_auc_is_of(plan: Callable[..., Plan]) -> None:
    made = plan({})
    told, seed = made.figures(), made.track.seeds[0]
    assert told["lines"]
    for attack, sees, defense, asked in told["lines"]:
        cell = made.audit(attack, sees, defense, seed)
        assert asked == dict(zip(cell["targets"], cell["scores"], strict=True))
        assert set(asked.values()) <= set(told["scores"])
    cells = [(*names, name) for *names, name, _ in told["lines"]]
    assert sorted(cells) == sorted(
        (attack, sees, name)
        for attack, sees in made.attacks
        for name in made.audited(attack, sees)
        if sees != "nothing"
    )
    assert len(told["scores"]) == len(set(told["scores"])) == len(needs.shown_scores(made))


def test_the_page_shows_the_entries_behind_every_name_but_not_how_many_jobs_drew(
    plan: Callable[..., Plan],
) -> None:
    told = plan({}).page()["config"]
    assert told["defenses"].keys() == plan({}).board.defenses.keys()
    assert told["defenses"]["none"]["denoisers"] == ["base"]
    assert "base" in told["networks"]
    assert "params" in next(iter(told["attacks"].values()))
    assert told["track"]["sampling"]["images"]
    assert plan({"track/shards": 7}).page() == plan({}).page()


def test_lambda_0_in_the_figure_is_plain_drawing_from_the_same_sources(
    plan: Callable[..., Plan],
) -> None:
    screened = {**GRID, "defenses/rejection": REJECTION, "attacks/side/sweep": {"lambda": [6, 2]}}
    screened |= {"attacks/random/against": ["none", "rejection", "distillmd"]}
    (grid,) = plan(screened).figures()["grids"].values()
    assert grid["attacks"] == [(2, "side.lambda=2"), (6, "side.lambda=6")]
    assert set(grid["defenses"]) == {"none", "cpsample", "distillmd", "rejection"}
    # who asks the predictor draws past the screen; `cpsample` was not drawn from plainly
    assert grid["plain"] == dict.fromkeys(("none", "distillmd"), ("random", "images"))
    (grid,) = plan({**GRID, "attacks/side/sweep": {"lambda": [0, 2]}}).figures()["grids"].values()
    assert grid["plain"] == {}  # it draws with lambda = 0 itself


# --- shards --------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [1, 2, 7, 20, 99, 100, 101])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 250])
def test_shards_cover_all_pictures_once_and_are_cut_between_batches(
    plan: Callable[..., Plan], images: int, batch_size: int
) -> None:
    board = plan().board
    for shards in (1, 2, 3, 7, 50, 1000):
        sampling = {"images": images, "batch_size": batch_size}
        drawn = board.track.sampling.model_copy(update=sampling)
        track = board.track.model_copy(update={"sampling": drawn, "shards": shards})
        named = Plan(board.model_copy(update={"track": track})).shards()
        ranges = list(named.values())
        assert list(named) == [f"{start}-{stop}" for start, stop in ranges]
        assert [i for start, stop in ranges for i in range(start, stop)] == list(range(images))
        assert all(start < stop for start, stop in ranges)  # no job without work
        assert all(start % batch_size == 0 for start, _ in ranges)
        assert len(ranges) == min(shards, -(-images // batch_size))
        sizes = [-(-(stop - start) // batch_size) for start, stop in ranges]
        assert max(sizes) - min(sizes) <= 1  # the work is shared evenly


def test_the_number_of_shards_is_no_part_of_what_is_drawn(plan: Callable[..., Plan]) -> None:
    assert changed(plan, {"track/shards": 3}) == set()
    assert len(plan({"track/shards": 3}).shards()) == 3


def test_what_nothing_reads_any_more_is_removed_and_what_more_images_need_is_not(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    kept = [
        "samples/none/plain/seed0/0-500.npz",
        "samples/none/plain/seed0/500-1000.npz",
        "samples/none/plain/seed0/1000-1500.npz",  # of more images than now
        "samples/none/plain/seed0/preview.png",
        "samples/cpsample/plain/seed0/0-1000.npz",  # the new ones have yet to be drawn
        "samples/cpsample/plain/seed0/0-500.npz",
        "perf/sample/none/plain/seed0/0-500.json",
        "features/pixels/none/plain/seed0.npz",
        "features/pixels/none/plain/seed0/0-500.npz",
        "scores/pia/weights/base/seed0.parquet",
        "scores/pia/weights/base/seed0/0-500.npz",
        "checkpoints/base/seed0/0123.safetensors",  # it is not trained yet
        "checkpoints/half/seed0/0123.safetensors",  # nor is this one, only its record is there
        "perf/train/half/seed0.json",
        "networks/pretrained@none/seed0/diffusion_pytorch_model.safetensors",
        "perf/train/pretrained@none/seed0.json",
        "checkpoints/pretrained@none/seed1/0123.safetensors",
    ]
    removed = [
        "checkpoints/pretrained@none/seed0/0123.safetensors",
        "checkpoints/pretrained@none/seed0/0123.csv",
        "samples/none/plain/seed0/0-1000.npz",
        "perf/sample/none/plain/seed0/0-1000.json",
        "features/pixels/none/plain/seed0/0-250.npz",
        "scores/pia/weights/base/seed0/0-1100.npz",
    ]
    results = tmp_path / "results/digits"
    for name in (*kept, *removed):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()
    (results / "checkpoints/sample/none").mkdir(parents=True)
    shared = plan({"track/shards": 2})
    assert list(shared.audited_shards) == ["0-500", "500-1100"]
    leftovers.sweep(shared, results)
    there = {str(f.relative_to(results)) for f in results.rglob("*") if f.is_file()}
    assert there == set(kept)
    assert not (results / "checkpoints/sample").exists()


# --- sources -------------------------------------------------------------------------------------


def test_a_job_depends_on_its_plug_in_and_on_no_other() -> None:
    found = sources(STEPS / "train.py", {"trainers": "random-labels"})
    names = {f.relative_to(LIBRARY).as_posix() for f in found if f.is_relative_to(LIBRARY)}
    assert {"trainers/random_labels.py", "training.py", "networks.py", "diffusion.py"} <= names
    assert "trainers/standard.py" not in names
    assert not any(name.startswith(("defenses/", "attacks/", "measures/")) for name in names)
    assert STEPS / "train.py" in found
    assert all(f.is_file() for f in found)


def test_what_a_module_reads_as_resources_comes_with_it() -> None:
    found = sources(STEPS / "page.py", {})
    names = {f.relative_to(LIBRARY).as_posix() for f in found if f.is_relative_to(LIBRARY)}
    looks = {"leaderboard.html.j2", "leaderboard.css", "scripts/tables.js", "vendor/vega.min.js"}
    assert {f"report/{name}" for name in looks} <= names
    assert not any("__pycache__" in name for name in names)
    found = sources(STEPS / "figures.py", {})
    drawn = {f.relative_to(LIBRARY).as_posix() for f in found if f.is_relative_to(LIBRARY)}
    assert "report/drawn.py" in drawn
    assert "report/leaderboard.css" not in drawn


def steps() -> Iterator[Any]:
    """Every job of the board that loads plug-ins: (stage, names)."""
    for network in NETWORKS:
        yield "train", {"network": network}
    for defense in SHARED["defenses"]:
        yield "sample", {"defense": defense}
        yield "attack", {"attack": "loss", "sees": "predictor", "target": defense}
    yield "attack", {"attack": "secmi", "sees": "weights", "target": "base"}
    yield "subset", {}
    for extractor in SHARED["extractors"]:
        yield "embed_pools", {"extractor": extractor}
        yield "embed", {"extractor": extractor, "defense": "none"}


@pytest.mark.parametrize(("stage", "names"), list(steps()))
def test_the_plug_ins_among_a_job_s_sources_are_those_it_loads(
    plan: Callable[..., Plan], stage: str, names: dict[str, str]
) -> None:
    used = plan().plugins(stage, **names)
    assert used
    folders = {LIBRARY / folder for folder, _ in plugins.CLASSES.values()}
    found = {f for f in sources(STEPS / f"{stage}.py", used) if f.parent in folders}
    assert found == {plugins.file(group, method) for group, method in used.items()}


def test_an_edit_of_a_file_changes_its_content_and_not_the_list(tmp_path: Path) -> None:
    step = tmp_path / "step.py"
    step.write_text("from leakboard import quality\n", encoding="utf-8")
    before = sources(step, {"trainers": "standard"})
    assert LIBRARY / "quality.py" in before
    step.write_text("from leakboard import quality\n\nx = 2\n", encoding="utf-8")
    imports.cache_clear()
    assert sources(step, {"trainers": "standard"}) == before
    step.write_text("from leakboard import subset\n", encoding="utf-8")
    imports.cache_clear()
    after = sources(step, {"trainers": "standard"})
    assert LIBRARY / "quality.py" not in after
    assert LIBRARY / "subset.py" in after


def test_the_list_of_sources_is_sorted_and_without_repetition() -> None:
    found = sources(STEPS / "attack.py", {"attacks": "loss", "defenses": "cpsample"})
    assert all(one < other for one, other in pairwise(found))


@pytest.mark.parametrize("file", sorted({*LIBRARY.rglob("*.py"), *STEPS.glob("*.py")}), ids=str)
def test_imports_are_read_as_python_reads_them(file: Path) -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    parts = [name.split(".")[1:] for name in names if name.startswith("leakboard.")]
    files = {LIBRARY.joinpath(*part).with_suffix(".py") for part in parts}
    assert set(imports(file)) == {f for f in files if f.is_file()}


@pytest.mark.parametrize(
    "text",
    [
        "from leakboard import quality, subset as s  # and a remark, with a comma",
        "from leakboard import (\n    quality,  # one\n    subset,\n)",
        "from leakboard import quality, \\\n    subset",
        "import leakboard.quality, leakboard.subset",
        "def f():\n    import leakboard.quality\n    from leakboard.subset import audited",
    ],
)
def test_imports_are_found_however_they_are_written(text: str, tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(f'"""A step."""\n\n{text}\n', encoding="utf-8")
    assert set(imports(tmp_path / "step.py")) == {LIBRARY / "quality.py", LIBRARY / "subset.py"}


def test_a_stamp_says_what_is_in_the_sources_and_stays_as_it_is_while_they_do(
    tmp_path: Path,
) -> None:
    step = tmp_path / "step.py"
    step.write_text("from leakboard import quality\n", encoding="utf-8")
    made = [stamp(tmp_path / "stamps", step, {"trainers": "standard"})]
    assert made[0] == tmp_path / "stamps/step,trainers=standard/sources.txt"
    lines = dict(line.split("  ")[::-1] for line in made[0].read_text().splitlines())
    assert lines.keys() >= {step.as_posix(), "leakboard/quality.py"}
    assert len(lines) == len(sources(step, {"trainers": "standard"}))
    os.utime(made[0], (1, 1))
    os.utime(step, None)
    content.cache_clear()
    stamp(tmp_path / "stamps", step, {"trainers": "standard"})
    assert made[0].stat().st_mtime == 1
    step.write_text("from leakboard import quality\n\nx = 2\n", encoding="utf-8")
    content.cache_clear()
    stamp(tmp_path / "stamps", step, {"trainers": "standard"})
    assert made[0].stat().st_mtime > 1
    after = dict(line.split("  ")[::-1] for line in made[0].read_text().splitlines())
    assert {name for name in lines if lines[name] != after[name]} == {step.as_posix()}


def test_a_spec_is_worked_out_once_however_it_is_asked_for(plan: Callable[..., Plan]) -> None:
    made = plan()
    spec = made.similarity("pixels", "none", PLAIN, SEED)
    asked = made.of(
        "similarity",
        track="digits",
        seed=str(SEED),
        sampler=PLAIN,
        defense="none",
        extractor="pixels",
    )
    assert asked is spec
    assert digest(spec) == digest(dict(spec)) == digest(json.loads(canonical(spec)))


def test_one_job_measures_all_defenses_of_a_feature_space_and_seed(
    plan: Callable[..., Plan],
) -> None:
    made = plan({"track/seeds": [1, 2]})
    cells = made.cells()
    assert [len(cells[stage]) for stage in ("copying", "quality")] == [4, 2]
    for stage, aligned in (("copying", "similarities"), ("quality", "features")):
        spec = made.of(stage, **cells[stage][0])
        assert [c["about"]["defense"] for c in spec["cells"]] == sorted(made.board.defenses)
        judged = [each["defense"] for each in needs.judged(made)]
        assert judged == sorted(made.board.defenses)  # in this order their files come
        assert len(spec[aligned]) == len(set(spec[aligned])) == len(judged)


def test_features_are_extracted_once_whoever_reads_them(plan: Callable[..., Plan]) -> None:
    theory = {"track/evaluation/theory": {"extractor": "pixels"}}
    made = plan(DEDUPED | GRID | theory)
    pools = {digest(made.embed_pools(name)) for name in made.board.extractors}
    samplers = [(PLAIN, name) for name in made.board.defenses]
    for family, sees in made.extractions:
        for sampler in made.samplers(family):
            samplers += [(sampler, source) for source in made.drawn_from(family, sees)]
    drawn = {
        digest(made.embed(extractor, name, sampler, SEED))
        for extractor in made.board.extractors
        for sampler, name in set(samplers)
    }
    assert len(pools) == len(made.board.extractors) == 2
    assert len(drawn) == 2 * len(set(samplers))  # one for each set of pictures and extractor
    read = {"pools": set[str](), "features": set[str]()}
    for stage in ("describe", "copying", "quality", "theory"):
        for names in made.cells()[stage]:
            for spec in [made.of(stage, **names), *made.measured(stage, **names)]:
                found = spec.get("features", [])
                read["features"] |= {found} if isinstance(found, str) else set(found)
                read["pools"] |= {spec[key] for key in ("pools",) if key in spec}
    for extractor in made.board.extractors:
        read["pools"].add(made.background(extractor)["features"])
        for sampler, name in set(samplers):
            spec = made.similarity(extractor, name, sampler, SEED)
            read["features"].add(spec["features"])
            read["pools"].add(spec["pools"])
    read["pools"] |= {made.deduplicate("unique")["features"], made.relabel("groups")["features"]}
    assert read["pools"] == pools
    assert read["features"] == drawn


def test_only_the_steps_that_embed_extract_features() -> None:
    # and a defense that looks for members while it draws, in the features of its own job
    asking = {
        file.relative_to(STEPS).as_posix()
        for file in (*STEPS.glob("*.py"), *LIBRARY.rglob("*.py"))
        if {"Extract", "of_pictures"}
        & {getattr(node.func, "attr", getattr(node.func, "id", "")) for node in calls(file)}
    }
    assert asking == {"embed.py", "embed_pools.py", "embed_shard.py", "leakboard/sampling.py"}


def calls(file: Path) -> list[ast.Call]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_planning_loads_nothing_heavy() -> None:
    code = """
import sys
before = set(sys.modules)
from leakboard import config, names, needs, plan, plugins, resolve, sources
heavy = {"torch", "diffusers", "numpy", "scipy", "pandas", "sklearn", "faiss", "snakemake"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_whole_plan_is_made_without_torch(tmp_path: Path) -> None:
    code = f"""
import sys, yaml
from pathlib import Path
from leakboard import resolve
from leakboard.plan import Plan
from leakboard.sources import sources
root = Path({str(ROOT)!r})
shared = yaml.safe_load((root / "config/config.yaml").read_text())
for board in resolve.read(shared, "config/config.yaml", [root]).values():
    plan = Plan(board)
    assert plan.digests()
    for name in board.networks:
        assert sources(root / "workflow/train.py", plan.plugins("train", network=name))
print("torch" in sys.modules)
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_what_others_wait_for_is_trained_first(plan: Callable[..., Plan]) -> None:
    made = plan()
    urgency = {name: made.urgency(name) for name in made.board.networks}
    for name in made.board.networks:
        assert all(urgency[earlier] > urgency[name] for earlier in made.init_of(name))
    assert max(urgency.values()) > min(urgency.values())


def test_the_teachers_of_a_student_train_side_by_side_before_anything_else_that_can_start(
    plan: Callable[..., Plan],
) -> None:
    made = plan({"networks/kd": {**NETWORKS["distilled"], "teachers": {"members": "base"}}})
    ready = {n for n in made.board.networks if made.init_of(n) == ["pretrained"]}
    assert {"half-a", "half-b"} < ready
    first = sorted(ready, key=made.urgency)[-2:]
    assert set(first) == {"half-a", "half-b"}
    for one, other in (("half-a", "half-b"), ("half-b", "half-a")):
        assert one not in made.closure([other])  # neither waits for the other
