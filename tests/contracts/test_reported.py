"""config/reported.yaml: what is typed is consistent, what is doubted is computed, errors stop.

The numbers of the papers are checked against each other wherever two of them say the same; each
doubt that can be computed is a test here, so that it is verified and not claimed.
"""

import copy
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import fisher_exact, norm

from leakboard import measurements, resolve
from leakboard.counterparts import COLUMNS, EXPLAINED, beside, frame
from leakboard.errors import UserError
from leakboard.measures import audit, copying, extraction, grid, similarity
from leakboard.measures.bootstrap import Resampler
from leakboard.measures.measure import Measure
from leakboard.quality import quality
from leakboard.reported import RANGES, Number, family, read

ROOT = Path(__file__).parents[2]
FILE = ROOT / "config/reported.yaml"
RAW = yaml.safe_load(FILE.read_text(encoding="utf-8"))
REPORTED = read(FILE)
NUMBERS = list(REPORTED.numbers())
TABLES = {(table.paper, table.source): table for table in REPORTED.tables}


def select(paper: str, source: str, **said: str) -> list[Number]:
    """The numbers of a table of which all this is said."""
    table = TABLES[paper, source]
    mine = [n for n in NUMBERS if n.table is table]
    return [n for n in mine if all(getattr(n, key) == value for key, value in said.items())]


def one(paper: str, source: str, **said: str) -> float:
    (number,) = select(paper, source, **said)
    return number.value


def values(paper: str, source: str, **said: str) -> list[float]:
    return [number.value for number in select(paper, source, **said)]


# --- the file ------------------------------------------------------------------------------------


def test_the_shipped_file_holds_every_table_of_the_four_papers() -> None:
    found = Counter(table.paper for table in REPORTED.tables)
    assert found == {"cpsample": 7, "amg": 6, "dualmd": 10, "side": 3}
    assert len(NUMBERS) == 763
    for paper, tables in (("cpsample", 7), ("amg", 5), ("dualmd", 10), ("side", 2)):
        assert {f"Table {i}" for i in range(1, tables + 1)} <= {s for p, s in TABLES if p == paper}


def test_the_shipped_file_fits_its_schema() -> None:
    schema = json.loads((ROOT / "workflow/schemas/reported.schema.json").read_text())
    jsonschema.validate(RAW, schema)
    broken = copy.deepcopy(RAW)
    del broken["tables"][0]["source"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from mappings(value)


def test_no_key_of_the_file_is_there_twice() -> None:
    # YAML would keep the last one, silently.
    found = list(mappings(yaml.compose(FILE.read_text(encoding="utf-8"))))
    assert len(found) > 300
    for node in found:
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), node.start_mark


def test_every_table_says_where_it_stands_how_it_was_measured_and_what_differs() -> None:
    for (paper, source), table in TABLES.items():
        for words in (table.protocol, table.differs, *table.doubts.values()):
            assert len(words) > 20, (paper, source)
            assert words.endswith((".", ".)")), words
        assert source.startswith(("Table ", "Section "))


def test_every_paper_is_used_and_can_be_found() -> None:
    assert {table.paper for table in REPORTED.tables} == set(REPORTED.papers)
    assert REPORTED.papers["amg"].cited == "AMG (Chen, Liu and Xu, CVPR 2024)"
    assert all("arXiv" in paper.identifier for paper in REPORTED.papers.values())


def configured(section: str) -> set[str]:
    """Every name that some shipped track knows, and those of config.yaml."""
    shared = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    tracks = [f.stem for f in (ROOT / "config/tracks").glob("*.yaml")]
    boards = resolve.read({**shared, "tracks": tracks}, "config/config.yaml", [ROOT])
    return {*shared[section], *(n for b in boards.values() for n in getattr(b, section))}


@pytest.mark.parametrize("kind", ["defense", "attack"])
def test_a_name_is_that_of_an_entry_or_explained_as_somebody_elses(kind: str) -> None:
    used = {getattr(number, kind) for number in NUMBERS} - {""}
    entries, own = configured(f"{kind}s"), set(getattr(REPORTED.elsewhere, f"{kind}s"))
    assert used <= entries | own
    assert own <= used, "explained and never used"
    assert not own & entries, "somebody else's name is an entry here"


def test_an_attack_is_said_to_see_what_its_entry_sees() -> None:
    shared = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    board = resolve.read({**shared, "tracks": ["digits-side"]}, "config/config.yaml", [ROOT])
    attacks = board["digits-side"].attacks
    checked = {n.attack: n.sees for n in NUMBERS if n.attack in attacks}
    assert len(checked) > 50
    assert all(sees in attacks[name].sees for name, sees in checked.items())


def judged() -> Iterator[Measure]:
    """What the judges measure, of whatever: only names, units and directions matter here."""
    rng = np.random.default_rng(0)
    s, d = rng.uniform(0.2, 0.9, 40), np.sort(rng.uniform(1, 2, (3, 40)), axis=0)
    table = {"similarity": s, "distance": d[0], "mean_k": d[1], "runner_up": d[2]}
    drawn = {**table, "neighbor": np.arange(40)}
    features = rng.normal(size=(60, 4))
    space = {"extractor": "x", "calibration": 0.001}
    yield from copying.copies(table, s, thresholds=[0.97], alpha=0.5, **space)
    yield from copying.compared(table, table, s, **space)
    yield from copying.permuted(
        *(features[:20], features[20:], np.arange(40) < 10, rng),
        extractor="x",
        measure="cosine",
        permutations=19,
        subsample=5,
    )
    yield from similarity.tops(s, "x", rng, 20)
    yield from extraction.extraction(drawn, s, members=40, **space)
    yield from grid.family({1.0: drawn, 2.0: drawn}, s, members=40, **space)
    pool, fold = np.repeat(["members", "held-out"], 100), np.tile(["dev", "test"], 100)
    scored = {"pool": pool, "fold": fold, "score": rng.normal(size=200)}
    yield from audit.audit({"net": scored}, Resampler(0))
    yield from quality(features[:30], features[30:], "x")


def test_a_metric_is_named_counted_and_directed_as_leakboard_measures_it_or_marked_own() -> None:
    judges = {family(m.metric): (m.unit, m.better) for m in judged()}
    for name, metric in REPORTED.metrics.items():
        if metric.own:
            assert name not in judges, f"{name} is measured here"
        else:
            assert (metric.unit, metric.better) == judges[name], name
    used = {
        family(c.metric)
        for t in REPORTED.tables
        for r in t.rows
        for c in (*t.columns, r, t.all)
        if c.metric
    }
    assert used == set(REPORTED.metrics), "a metric is explained and never used"


def test_every_value_lies_in_the_range_of_its_unit() -> None:
    assert {number.unit for number in NUMBERS} >= RANGES.keys()
    for number in NUMBERS:
        low, high = RANGES.get(number.unit, (-math.inf, math.inf))
        assert low <= number.value <= high, number


def test_percentages_become_shares_to_the_digit() -> None:
    assert one("cpsample", "Table 1", metric="copy_rate>0.97:dino", defense="none") == 0.0625
    assert one("amg", "Table 2", metric="nl2<1.4:pixels", defense="none") == 0.0093
    (bound,) = select("cpsample", "Table 1", metric="copy_logrank_p:dino", dataset=FINE[0])
    assert (bound.bound, bound.value) == ("<", 0.0001)


# --- the numbers, against each other -------------------------------------------------------------

FINE = [f"{name}, fine-tuned on 1,000 images" for name in ("CIFAR-10", "CelebA", "LSUN Church")]


def told(number: Number, *keys: str) -> tuple[str, ...]:
    return tuple(str(getattr(number, key)) for key in keys)


def same(one: tuple[str, str], other: tuple[str, str], *keys: str) -> int:
    """How many numbers of two tables are about the same, by these keys; they must be equal."""
    known = {told(n, *keys): n.value for n in select(*one)}
    shared = [n for n in select(*other) if told(n, *keys) in known]
    for number in shared:
        assert round(number.value, 2) == round(known[told(number, *keys)], 2), number
    return len(shared)


def test_numbers_that_two_tables_repeat_are_equal() -> None:
    assert same(("amg", "Table 1"), ("amg", "Table 4"), "defense", "metric") == 8
    assert same(("amg", "Table 2"), ("amg", "Table 5"), "defense", "metric") == 6
    whom = ("attack", "defense", "metric")
    assert same(("dualmd", "Table 8"), ("dualmd", "Table 4"), *whom, "dataset") == 0  # other words
    for attack, defense, metric in itertools.product(
        ("secmi", "pia"), ("none", "distillmd"), ("auc", "tpr@1%fpr")
    ):
        about = {"attack": attack, "defense": defense, "metric": metric}
        bare = one("dualmd", "Table 8", setting="without prompt diversification", **about)
        assert bare == one("dualmd", "Table 4", dataset="Pokemon", setting="SD v1.5", **about)


def test_side_s_first_table_is_the_mean_over_its_second() -> None:
    for metric, mean in (("ams:mid:sscd", 0.011152), ("ums:mid:sscd", 0.004436)):
        grid = [
            one("side", "Table 2", metric=metric, attack=f"side.lambda={k}") for k in range(5, 10)
        ]
        assert np.mean(grid) == pytest.approx(mean, abs=1e-12)
        faces = {"metric": metric, "dataset": "CelebA-HQ-FI, 5,478 images"}
        assert one("side", "Table 1", attack="side", **faces) == pytest.approx(mean, abs=5e-6)
        plain = one("side", "Table 2", metric=metric, attack="side.lambda=0")
        assert plain == one("side", "Table 1", attack="random", **faces)


def test_the_z_test_s_p_values_are_upper_tails() -> None:
    z = values("cpsample", "Table 3", metric="z")
    p = values("cpsample", "Table 3", metric="z_p")
    np.testing.assert_allclose(p, norm.sf(z), atol=0.005)
    assert norm.sf(0.59) == pytest.approx(0.278, abs=5e-4)


def test_shares_agree_with_the_quantiles_beside_them() -> None:
    # The 95th percentile is above a threshold exactly if more than 5 % are; the maximum, if any is.
    for defense in ("none", "gni", "rt", "cwr", "rna", "amg.main", "amg.strong"):
        at = {"paper": "amg", "source": "Table 1", "defense": defense}
        p95, top = (one(**at, metric=f"similarity_{m}:sscd") for m in ("p95", "max"))
        for threshold in (0.4, 0.5):
            share = one(**at, metric=f"copy_rate>{threshold}:sscd")
            assert (p95 > threshold) == (share > 0.05)
            assert (top > threshold) == (share > 0)
    for source, defense in itertools.product(
        ("Table 2", "Table 3"), ("none", "amg.main", "amg.strong")
    ):
        at = {"paper": "amg", "source": source, "defense": defense}
        top5, top1 = (one(**at, metric=f"nl2_{m}:pixels") for m in ("top5%", "top1"))
        for threshold in (1.4, 1.6):
            share = one(**at, metric=f"nl2<{threshold}:pixels")
            assert (top5 < threshold) == (share > 0.05)
            assert (top1 < threshold) == (share > 0)


def test_an_auc_is_possible_beside_its_tpr() -> None:
    # A curve through (0.01, tpr) has an area from 0.99 tpr to 0.99 + 0.01 tpr.
    pairs = 0
    for source in (f"Table {i}" for i in (3, 4, 5, 8, 9, 10)):
        aucs = select("dualmd", source, metric="auc")
        tprs = select("dualmd", source, metric="tpr@1%fpr")
        for auc, tpr in zip(aucs, tprs, strict=True):
            keys = ("dataset", "defense", "attack", "sees", "setting")
            assert told(auc, *keys) == told(tpr, *keys)
            assert 0.99 * (tpr.value - 0.005) <= auc.value + 0.005
            assert auc.value - 0.005 <= 0.99 + 0.01 * (tpr.value + 0.005)
            pairs += 1
    assert pairs == 51


def test_no_more_unique_images_come_out_than_images() -> None:
    for source in ("Table 1", 'Section 4.2, "Random Labels"', "Table 2"):
        keys = ("dataset", "attack")
        for band in ("low", "mid", "high"):
            ams = {
                told(n, *keys): n.value for n in select("side", source, metric=f"ams:{band}:sscd")
            }
            ums = {
                told(n, *keys): n.value for n in select("side", source, metric=f"ums:{band}:sscd")
            }
            assert ams.keys() == ums.keys()
            assert all(ums[key] <= ams[key] for key in ams)


def test_side_s_grid_counts_whole_pictures_of_50000_and_its_tops_descend() -> None:
    for metric in ("ams:mid:sscd", "ums:mid:sscd"):
        counts = np.array(values("side", "Table 2", metric=metric)) * 50_000
        assert len(counts) == 51
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    tops = [
        values("side", "Table 2", metric=f"similarity_top{t}%:sscd") for t in (0.1, 0.5, 1, 5, 10)
    ]
    assert (np.diff(tops, axis=0) < 0).all()


def test_side_trained_for_as_many_epochs_as_it_says() -> None:
    assert round(258_000 * 64 / 5478, -3) == 3000
    assert round(390_000 * 64 / 25_000, -3) == 1000


# --- the doubts ----------------------------------------------------------------------------------

COMPUTED: dict[tuple[str, str], str] = {}
IN_WORDS = {  # what no number of the tables can show
    ("cpsample", "two-sided"),
    ("cpsample", "features-unclear"),
    ("cpsample", "n-missing"),
    ("cpsample", "celeba-baseline"),
    ("cpsample", "n-mixed"),
    ("cpsample", "footnote"),
    ("amg", "lowest-similarity"),
    ("amg", "index-is-gone"),
    ("amg", "preprocessing"),
    ("amg", "gate"),
    ("amg", "which-guidance"),
    ("amg", "which-similarity"),
    ("amg", "noised-neighbors"),
    ("amg", "fid-of-10000"),
    ("amg", "quoted"),
    ("dualmd", "statistic"),
    ("dualmd", "pia-selection"),
    ("side", "sscd-unspecified"),
    ("side", "low-band"),
}
Check = Callable[[str], None]


def doubt(paper: str, name: str) -> Callable[[Check], Callable[[], None]]:
    """A test of one doubt; it is handed the sentence, which must hold the numbers it computes."""

    def marked(check: Check) -> Callable[[], None]:
        COMPUTED[paper, name] = check.__name__

        def test() -> None:
            sentences = {
                t.doubts[name] for t in REPORTED.tables if t.paper == paper and name in t.doubts
            }
            for sentence in sentences:
                check(sentence)
            assert sentences

        test.__name__ = check.__name__
        return test

    return marked


def counts(printed: float, n: int, digits: int) -> list[int]:
    """The counts out of n that print as this share."""
    return [k for k in range(n + 1) if round(k / n, digits) == round(printed, digits)]


@doubt("cpsample", "not-counts-of-3000")
def test_two_of_cpsample_s_percentages_are_no_counts_of_3000(sentence: str) -> None:
    shares = [n.value for n in select("cpsample", "Table 1") if family(n.metric) == "copy_rate"]
    assert len(shares) == 6
    odd = [share for share in shares if not counts(share, 3000, 4)]
    assert odd == [0.0625, 0.0004]
    assert all(f"{100 * share:.3g} %" in sentence for share in odd)


@doubt("cpsample", "church-p")
def test_church_s_p_value_is_not_that_of_its_percentages(sentence: str) -> None:
    church = {"metric": "copy_rate>0.9:dino", "dataset": FINE[2]}
    plain, guarded = (
        round(3000 * one("cpsample", "Table 1", defense=d, **church)) for d in ("none", "cpsample")
    )
    assert (plain, guarded) == (22, 1)
    assert "(22 and 1," in sentence
    for alternative in ("two-sided", "greater"):
        assert fisher_exact([[22, 2978], [1, 2999]], alternative=alternative).pvalue < 0.00001
    assert one("cpsample", "Table 1", metric="copy_logrank_p:dino", dataset=FINE[2]) == 0.013


@doubt("cpsample", "steps-disagree")
def test_cpsample_s_fine_tuning_steps_disagree_between_its_tables(sentence: str) -> None:
    first, sixth = (values("cpsample", f"Table {i}", metric="finetune_steps") for i in (1, 6))
    fifth = values("cpsample", "Table 5", metric="finetune_steps")
    assert first == sixth == [150_000, 650_000, 455_000]
    assert [a - b for a, b in zip(first, fifth, strict=True)] == [40_000, 500_000, -425_000]
    assert all(a != b for a, b in zip(first, fifth, strict=True))


@doubt("cpsample", "prompts-changed")
def test_cpsample_s_demonstration_has_weak_guidance(sentence: str) -> None:
    assert set(values("cpsample", "Table 2", metric="guidance")) == {1.5}
    assert "guidance is 1.5" in sentence


@doubt("cpsample", "null-reversed")
def test_the_null_of_cpsample_s_z_test_is_worded_the_wrong_way_round(sentence: str) -> None:
    # Upper tails: a large z rejects. Undefended is where the test rejects, as the paper says too.
    assert one("cpsample", "Table 3", metric="z", defense="none") == 138
    assert one("cpsample", "Table 3", metric="z_p", defense="none") == 0 == norm.sf(138)
    lower = norm.cdf(values("cpsample", "Table 3", metric="z"))
    assert not np.allclose(lower, values("cpsample", "Table 3", metric="z_p"), atol=0.005)
    assert "z = 138" in sentence


@doubt("cpsample", "z-138")
def test_a_z_of_138_would_be_an_attack_of_great_strength(sentence: str) -> None:
    for members, strangers, auc in ((50_000, 10_000, "0.86"), (10_000, 10_000, "0.92")):
        shift = 138 * math.sqrt(1 / members + 1 / strangers)
        assert f"{norm.cdf(shift / math.sqrt(2)):.2f}" == auc
        assert auc in sentence
    assert f"{138 * math.sqrt(1 / 50_000 + 1 / 10_000):.1f} standard deviations" in sentence


@doubt("cpsample", "alphas-from-a-note")
def test_by_the_note_the_smallest_alpha_has_the_highest_p(sentence: str) -> None:
    rows = select("cpsample", "Table 3", defense="cpsample", metric="z_p")
    assert [row.setting.split(",")[0] for row in rows] == ["alpha 0.5", "alpha 0.25", "alpha 0.001"]
    assert [row.value for row in rows] == sorted(row.value for row in rows)
    assert "0.5, 0.25 and 0.001" in sentence


@doubt("cpsample", "baseline-not-its-own")
def test_cpsample_s_baseline_fid_is_below_that_of_every_setting_of_its_own(sentence: str) -> None:
    mildest = min(values("cpsample", "Table 7"))
    plain, guarded = (
        one("cpsample", "Table 4", defense=d, dataset="CIFAR-10") for d in ("none", "cpsample")
    )
    assert plain < mildest < guarded
    assert f"{mildest:.2f} to {guarded}" in sentence
    assert f"{plain}" in sentence


@doubt("cpsample", "quantile-not-p")
def test_as_p_values_none_of_the_permutation_tests_would_reject(sentence: str) -> None:
    cifar, celeba, church = values(
        "cpsample", "Table 6", defense="cpsample", metric="permutation_quantile:dino"
    )
    assert min(cifar, celeba, church) > 0.05
    assert [1 - q < 0.05 for q in (cifar, celeba, church)] == [
        False,
        True,
        False,
    ]  # as the text says
    assert all(f"({q:.2f})" in sentence for q in (cifar, celeba, church))


@doubt("cpsample", "undefended-passes")
def test_undefended_cifar_is_not_rejected_though_it_copies(sentence: str) -> None:
    q = one(
        "cpsample", "Table 6", defense="none", dataset=FINE[0], metric="permutation_quantile:dino"
    )
    copies = one("cpsample", "Table 1", defense="none", metric="copy_rate>0.97:dino")
    assert 1 - q > 0.05
    assert f"({q})" in sentence
    assert f"{100 * copies:g} %" in sentence


@doubt("cpsample", "celeba-unprotected")
def test_celeba_is_rejected_with_and_without_cpsample(sentence: str) -> None:
    celeba = {"dataset": FINE[1], "metric": "permutation_quantile:dino"}
    assert values("cpsample", "Table 6", **celeba) == [0.99, 0.99]
    here = values("cpsample", "Table 6", metric="finetune_steps")
    there = values("cpsample", "Table 5", metric="finetune_steps")
    assert here.index(max(here)) == 1
    assert there.index(max(there)) != 1
    assert "0.99" in sentence


@doubt("cpsample", "headings-missing")
def test_the_grid_of_fids_rises_along_rows_and_columns_and_meets_table_4(sentence: str) -> None:
    fids = np.reshape(values("cpsample", "Table 7"), (4, 5))
    assert (np.diff(fids, axis=0) > 0).all()
    assert (np.diff(fids, axis=1) > 0).all()
    target = one("cpsample", "Table 4", defense="cpsample", dataset="CIFAR-10")
    assert np.argwhere(np.round(fids, 2) == target).tolist() == [[3, 0]]
    assert f"{target}" in sentence


@doubt("cpsample", "only-a-tight-gate")
def test_at_full_scale_fid_explodes_with_alpha(sentence: str) -> None:
    last = values("cpsample", "Table 7")[-5:]
    assert f"from {last[0]:.2f} to {last[-1]:.1f}" in sentence


@doubt("amg", "prompts-missing")
def test_nearly_half_of_the_undefended_pictures_of_amg_are_memorized(sentence: str) -> None:
    share = one("amg", "Table 1", defense="none", metric="copy_rate>0.5:sscd")
    assert f"{100 * share:.0f} %" in sentence
    assert one("amg", "Table 1", defense="none", metric="fid:inception") > 100


@doubt("amg", "schedule")
def test_amg_s_published_schedule_fits_main_and_not_strong(sentence: str) -> None:
    lowest = 1.95 - 0.45 * math.exp(-0.025 * 0)
    main, strong = (
        one("amg", "Table 2", defense=f"amg.{d}", metric="nl2_top1:pixels")
        for d in ("main", "strong")
    )
    assert lowest == 1.5
    assert abs(main - lowest) < 0.05 < strong - lowest
    assert "exponential" in sentence


@doubt("amg", "top5-of-ruined")
def test_ruined_pictures_count_as_more_memorized_by_one_measure_only(sentence: str) -> None:
    top5, share = "nl2_top5%:pixels", "nl2<1.4:pixels"
    plain, ungated = (
        [one("amg", "Table 5", defense=d, metric=m) for m in (top5, share)]
        for d in ("none", "amg.no-gate")
    )
    assert ungated[0] < plain[0]
    assert ungated[1] == 0 < plain[1]
    assert f"({ungated[0]}, not {plain[0]})" in sentence


@doubt("dualmd", "clip-scale")
def test_clip_scores_of_two_papers_are_on_different_scales(sentence: str) -> None:
    assert max(values("dualmd", "Table 1", metric="clip_score")) < 1
    assert min(values("amg", "Table 1", metric="clip_score")) > 20


@doubt("dualmd", "fid-dimension")
def test_some_fids_rest_on_fewer_images_than_inception_has_features(sentence: str) -> None:
    text = select("dualmd", "Table 6", model="text-to-image", metric="members")
    assert [n.value for n in text] == [416, 610]
    assert all(n.value < 2048 for n in text)
    fids = [n.value for i in (2, 7) for n in select("dualmd", f"Table {i}", metric="fid:unknown")]
    assert (min(fids), max(fids)) == (0.16, 0.44)
    assert "0.16 to 0.44 on 416 and 610" in sentence


@doubt("dualmd", "distillmd-on-cifar")
def test_distillmd_s_fid_is_next_to_the_undefended_one(sentence: str) -> None:
    cifar = {"dataset": "CIFAR-10", "metric": "fid:inception"}
    plain, distilled = (one("dualmd", "Table 2", defense=d, **cifar) for d in ("none", "distillmd"))
    assert 0 < distilled - plain < 0.1
    assert f"{distilled} against {plain}" in sentence


@doubt("dualmd", "which-secmi")
def test_dualmd_s_secmi_lies_between_the_two_of_its_authors(sentence: str) -> None:
    auc = one("dualmd", "Table 10", defense="none", metric="auc")
    assert 0.881 < auc < 0.951
    assert all(f"{x}" in sentence for x in (0.881, 0.951, auc))


@doubt("dualmd", "epochs")
def test_dualmd_s_teachers_see_twice_the_epochs(sentence: str) -> None:
    members = one("dualmd", "Table 6", dataset="CIFAR-10", metric="members")
    epochs = [780_000 * 128 / n for n in (members, members / 2)]
    assert [f"{round(e, -3):,.0f}" for e in epochs] == ["4,000", "8,000"]
    assert all(words in sentence for words in ("4,000 epochs", "8,000", "25,000", "12,500"))


@doubt("dualmd", "pia-shows-nothing")
def test_pia_finds_nothing_in_fine_tuned_stable_diffusion(sentence: str) -> None:
    plain = values("dualmd", "Table 4", attack="pia", defense="none", metric="auc")
    assert (min(plain), max(plain)) == (0.45, 0.47)
    assert "0.45 to 0.47" in sentence


@doubt("dualmd", "below-one-half")
def test_distillmd_falls_below_one_half(sentence: str) -> None:
    below = values(
        "dualmd", "Table 4", attack="secmi", defense="distillmd", metric="auc", dataset="Naruto"
    )
    assert below == [0.46, 0.45]


@doubt("dualmd", "not-counts")
def test_no_rounding_makes_all_tprs_counts_of_the_members(sentence: str) -> None:
    naruto = values("dualmd", "Table 4", dataset="Naruto", metric="tpr@1%fpr")
    pokemon = values("dualmd", "Table 5", metric="tpr@1%fpr", setting="with prompt diversification")
    n, tprs = (610, naruto) if "610" in sentence else (416, pokemon)
    cut = {math.floor(1000 * k / n) for k in range(n + 1)}
    rounded_odd = {t for t in tprs if not counts(t, n, 3)}
    cut_odd = {t for t in tprs if round(1000 * t) not in cut}
    assert rounded_odd == ({0.006} if n == 610 else {0.009})
    assert cut_odd == ({0.005, 0.007, 0.333} if n == 610 else {0.005})
    assert all(f"{t}" in sentence for t in rounded_odd | cut_odd)


@doubt("dualmd", "diversification-alone")
def test_diverse_prompts_alone_stop_the_attack_that_dualmd_is_shown_against(sentence: str) -> None:
    auc, tpr = (
        {
            n.setting.split()[0]: n.value
            for n in select("dualmd", "Table 5", defense="none", metric=m)
        }
        for m in ("auc", "tpr@1%fpr")
    )
    assert f"from {auc['without']:.2f} to {auc['with']}" in sentence
    assert f"{tpr['without']} to {tpr['with']}" in sentence
    diverse = {"setting": "with prompt diversification", "metric": "tpr@1%fpr"}
    assert tpr["with"] < one("dualmd", "Table 5", defense="dualmd", **diverse)


@doubt("dualmd", "text-says-dualmd")
def test_dualmd_is_not_the_better_defense_of_text_to_image_models(sentence: str) -> None:
    error = math.sqrt((416 + 417 + 1) / (12 * 416 * 417))  # of an AUC without any effect
    assert f"{error:.2f} for 416 and 417" in sentence
    for defense in ("dualmd", "distillmd"):
        bare, diverse = values("dualmd", "Table 5", defense=defense, metric="auc")
        assert abs(diverse - 0.5) <= 2 * error
        assert f"{bare}" in sentence


@doubt("dualmd", "text-says-improvement")
def test_diverse_prompts_do_not_help_against_who_holds_the_weights(sentence: str) -> None:
    def row(attack: str, defense: str, metric: str) -> list[float]:
        return values("dualmd", "Table 8", attack=attack, defense=defense, metric=metric)

    assert row("secmi", "none", "tpr@1%fpr") == [0.79, 1.00]
    assert row("pia", "none", "auc") == [0.46, 0.61]
    bare, diverse = row("secmi", "distillmd", "auc")
    assert abs(diverse - 0.5) > abs(bare - 0.5)
    assert all(
        words in sentence for words in ("0.79 to 1.00", "0.46 to 0.61", f"{bare} to {diverse}")
    )


@doubt("dualmd", "not-noise")
def test_the_adaptive_attack_s_tpr_is_beyond_chance(sentence: str) -> None:
    error = math.sqrt(0.01 * 0.99 / 416 + 0.01 * 0.99 / 417)
    two, three = values("dualmd", "Table 9", metric="tpr@1%fpr")
    assert f"about {error:.3f}" in sentence
    assert (three - 0.01) / error > 5
    diverse = {"setting": "with prompt diversification", "metric": "tpr@1%fpr"}
    assert one("dualmd", "Table 5", defense="dualmd", **diverse) == 0.014 < two < three
    assert f"to {two} and {three}" in sentence


@doubt("dualmd", "diversified")
def test_the_adaptive_attack_starts_from_diverse_prompts(sentence: str) -> None:
    bare = {"defense": "dualmd", "metric": "auc", "setting": "without prompt diversification"}
    assert one("dualmd", "Table 5", **bare) > max(values("dualmd", "Table 9", metric="auc")) + 0.2
    assert f"{one('dualmd', 'Table 5', **bare)}" in sentence


@doubt("dualmd", "caption")
def test_dualmd_s_last_table_repeats_table_3(sentence: str) -> None:
    assert (
        same(
            ("dualmd", "Table 3"), ("dualmd", "Table 10"), "dataset", "attack", "defense", "metric"
        )
        == 4
    )


@doubt("side", "celeba-of-25000")
def test_all_of_side_s_celeba_counts_are_whole_out_of_25000(sentence: str) -> None:
    celeba = "CelebA-25000, 25,000 images"
    rest = select("side", 'Section 4.2, "Random Labels"')
    found = 25_000 * np.array([n.value for n in select("side", "Table 1", dataset=celeba) + rest])
    assert np.count_nonzero(found) == 16
    np.testing.assert_allclose(found, np.round(found), atol=1e-6)
    # A mean over five lambdas of 50,000 pictures each would be so by a chance of 1 in 4 per number.
    grid = 25_000 * np.array(values("side", "Table 2", metric="ams:mid:sscd"))
    assert not np.allclose(grid, np.round(grid), atol=1e-6)


@doubt("side", "ums-37")
def test_side_raises_the_middle_ums_by_35_percent_not_37(sentence: str) -> None:
    faces = {"dataset": "CelebA-HQ-FI, 5,478 images"}
    gains = [
        100
        * (
            one("side", "Table 1", attack="side", metric=m, **faces)
            / one("side", "Table 1", attack="random", metric=m, **faces)
            - 1
        )
        for m in ("ams:mid:sscd", "ums:mid:sscd")
    ]
    assert [round(gain) for gain in gains] == [87, 35]
    assert all(f"{round(gain)} %" in sentence for gain in gains)


@doubt("side", "ten-percent")
def test_time_independent_classifiers_reach_2_to_32_percent_of_side(sentence: str) -> None:
    keys = ("dataset", "metric")
    side, random = (
        {told(n, *keys): n.value for n in select("side", "Table 1", attack=a)}
        for a in ("side", "random")
    )
    weak = {told(n, *keys): n.value for n in select("side", "Table 1", attack="ol-ti")}
    ratios = [100 * weak[key] / side[key] for key in weak if weak[key] > 0]
    assert f"between {min(ratios):.0f} and {max(ratios):.0f} %" in sentence
    assert all(weak[key] < random[key] or random[key] == 0 == weak[key] for key in weak)


@doubt("side", "six-pictures")
def test_side_s_copies_from_celeba_are_three_or_six_pictures(sentence: str) -> None:
    celeba = {"dataset": "CelebA-25000, 25,000 images", "metric": "ams:high:sscd"}
    share = one("side", "Table 1", attack="side", **celeba)
    assert one("side", "Table 1", attack="random", **celeba) == 0
    assert [round(share * n, 6) for n in (25_000, 50_000)] == [3, 6]
    assert fisher_exact([[3, 24_997], [0, 25_000]], alternative="greater").pvalue > 0.05


@doubt("side", "ums-of-n")
def test_ums_falls_with_the_number_of_pictures(sentence: str) -> None:
    p = np.full(100, 1e-4)
    (ams, few), (_, many) = (extraction.expected(p, n) for n in (1_000, 50_000))
    assert many < few < ams


@doubt("side", "worse-than-what")
def test_one_class_for_each_image_still_beats_plain_drawing(sentence: str) -> None:
    source = 'Section 4.2, "Random Labels"'
    for band in ("low", "mid"):
        about = {"metric": f"ams:{band}:sscd", "dataset": "CelebA-25000, 25,000 images"}
        own, plain = one("side", source, **about), one("side", "Table 1", attack="random", **about)
        assert own > plain
        assert f"{100 * own:.3f} against {100 * plain:.3f} %" in sentence


@doubt("side", "best-lambda")
def test_lambda_13_is_best_in_neither_column(sentence: str) -> None:
    for metric, best in (("ams:mid:sscd", 15), ("ums:mid:sscd", 9)):
        column = values("side", "Table 2", metric=metric)
        assert column.index(max(column)) == best != 13
        assert f"{best} ({100 * max(column):.3f} %)" in sentence


@doubt("side", "mean-of-the-top")
def test_side_s_tops_cannot_be_quantiles(sentence: str) -> None:
    top1 = one("side", "Table 2", attack="side.lambda=0", metric="similarity_top1%:sscd")
    faces = {"dataset": "CelebA-HQ-FI, 5,478 images", "attack": "random"}
    above = sum(
        one("side", "Table 1", metric=f"ams:{band}:sscd", **faces) for band in ("mid", "high")
    )
    assert top1 > 0.5
    assert above < 0.01
    assert f"{top1}" in sentence
    assert f"{100 * above:.2f} %" in sentence


def test_every_doubt_is_computed_or_cannot_be() -> None:
    told_ = {(t.paper, name) for t in REPORTED.tables for name in t.doubts}
    assert told_ == COMPUTED.keys() | IN_WORDS
    assert not COMPUTED.keys() & IN_WORDS
    assert set(COMPUTED.values()) <= set(globals())


# --- what is wrong stops -------------------------------------------------------------------------

GONE = object()
BAD: dict[str, tuple[list[str | int], Any, list[str]]] = {  # where, what to put there, what is said
    "a misspelled paper": (
        ["tables", 7, "paper"],
        "agm",
        ["tables.7 (agm, Table 1).paper: no such paper", "did you mean 'amg'"],
    ),
    "a misspelled key": (
        ["tables", 0, "protocl"],
        "",
        ["tables.0 (cpsample, Table 1).protocl: unknown key", "did you mean 'protocol'"],
    ),
    "a misspelled key of a column": (
        ["tables", 0, "columns", 1, "defence"],
        "none",
        ["columns.1.defence: unknown key", "did you mean 'defense'"],
    ),
    "no source": (["tables", 0, "source"], GONE, ["tables.0 (cpsample, ?).source: missing"]),
    "an empty protocol": (
        ["tables", 0, "protocol"],
        " ",
        ["tables.0 (cpsample, Table 1).protocol: ", "at least 1 character"],
    ),
    "a value too few": (
        ["tables", 8, "rows", 0, "values"],
        [1.58, 0.51, 0.93, 5.78],
        ["(amg, Table 2).rows.0.values: expected one of each of 5 columns, got 4", "write null"],
    ),
    "a slipped point": (
        ["tables", 15, "rows", 0, "values", 0],
        9.3,
        ["(dualmd, Table 3).rows.0.values.0: expected a probability in [0, 1], got 9.3"],
    ),
    "more than 100 percent": (
        ["tables", 8, "rows", 0, "values", 2],
        100.5,
        ["(amg, Table 2).rows.0.values.2: expected a share in [0, 1], got 1.005"],
    ),
    "a negative FID": (
        ["tables", 8, "rows", 0, "values", 4],
        -7.44,
        ["values.4: expected a distance in [0, inf], got -7.44"],
    ),
    "an nL2 that cannot be": (
        ["tables", 8, "rows", 0, "values", 0],
        2.5,
        ["values.0: expected a nL2 in [0, 2], got 2.5"],
    ),
    "a number in words": (
        ["tables", 8, "rows", 0, "values", 0],
        "1.58",
        ['tables.8 (amg, Table 2).rows.0.values.0: expected a number, "<number" or null'],
    ),
    "true for a number": (
        ["tables", 8, "rows", 0, "values", 0],
        True,
        ['rows.0.values.0: expected a number, "<number" or null, got True'],
    ),
    "not a number": (
        ["tables", 8, "rows", 0, "values", 0],
        math.nan,
        ["rows.0.values.0: expected a number"],
    ),
    "a misspelled metric": (
        ["tables", 8, "columns", 4, "metric"],
        "fdi:inception",
        ["'fdi' is not under `metrics`", "did you mean 'fid'"],
    ),
    "an unknown unit": (["metrics", "fid", "unit"], "points", ["metrics.fid.unit: ", "'points'"]),
    "no defense": (
        ["tables", 8, "rows", 0, "defense"],
        GONE,
        ["rows.0.values.0: needs a `defense`, of the table, the column or the row"],
    ),
    "an attack that sees nothing said": (
        ["tables", 15, "all", "sees"],
        GONE,
        ["`attack` and `sees` go together"],
    ),
    "a row twice": (
        ["tables", 8, "rows", 1, "defense"],
        "none",
        ["rows.1.values.0: nl2_top5%:pixels is said twice of the same; add a `setting`"],
    ),
    "a list for a table": (["tables", 8], ["amg"], ["tables.8: "]),
    "an access nobody has": (
        ["tables", 15, "all", "sees"],
        "gradients",
        ["all.sees: ", "gradients"],
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "_"))
def test_a_wrong_file_stops_with_its_place_and_what_to_do(case: str, tmp_path: Path) -> None:
    where, value, said = BAD[case]
    content = copy.deepcopy(RAW)
    place: Any = content
    for key in where[:-1]:
        place = place[key]
    if value is GONE:
        del place[where[-1]]
    else:
        place[where[-1]] = value
    path = tmp_path / "reported.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(path)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines)
    for words in said:
        assert any(words in line for line in lines), lines


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    content = copy.deepcopy(RAW)
    content["tables"][8]["rows"][0]["values"] = [3, 3, 930, 5.78, 7.44]
    path = tmp_path / "reported.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(path)
    assert len(str(caught.value).split("\n")) == 3


@pytest.mark.parametrize("text", [None, "tables: [", "- a\n- b\n", "", b"\xff\xfe\x00"])
def test_what_is_no_file_of_numbers_stops(text: str | bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "reported.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match="expected"):
        read(path)


# --- beside what is measured ---------------------------------------------------------------------


def row(metric: str, value: float, **more: Any) -> dict[str, Any]:
    """A row of measurements.csv, on the track `small`."""
    names = {
        "track": "small",
        "seed": 0,
        "defense": "none",
        "sampler": "",
        "attack": "",
        "sees": "",
    }
    numbers = {"value": value, "ci_low": value - 0.01, "ci_high": value + 0.01, "n": 500}
    rest = {
        "unit": "",
        "better": "",
        "reported": math.nan,
        "digest": "",
        "status": "ok",
        "note": "",
    }
    return {**names, "metric": metric, **numbers, **rest, **more}


SECMI = {"attack": "secmi", "sees": "weights"}
PLAIN = {"sampler": "plain"}
MEASURED = [
    row("auc", 0.98, **SECMI),
    row("auc", 0.52, **SECMI, defense="distillmd", seed=0),
    row("auc", 0.56, **SECMI, defense="distillmd", seed=1),
    row("auc:half-a", 0.9, **SECMI),
    row("tpr@1%fpr", math.nan, **SECMI, status="unresolved", note="too few strangers"),
    row("auc", 0.7, attack="secmi", sees="predictor"),
    row("nl2<1.4:local-sscd", 0.02, **PLAIN),
    row("nl2<1.4:pixels", 0.24, **PLAIN),
    row("copy_rate>0.97:pixels", 0.5, **PLAIN),
    row("copy_rate:pixels", 0.12, **PLAIN),
    row("copy_rate:local-sscd", 0.17, **PLAIN),
    row("copy_rate:local-sscd", 0.9, sampler="side.lambda=6"),
    row("copy_logrank_p:local-sscd", 0.01, **PLAIN, defense="cpsample", seed=0),
    row("copy_logrank_p:local-sscd", 0.3, **PLAIN, defense="cpsample", seed=1),
    row("ams:mid:local-sscd:best", 0.6, attack="side", sees="predictor"),
    row("ams:mid:local-sscd:mean", 0.4, attack="side", sees="predictor"),
    row("fid:local-classifier", 99.0, **PLAIN, track="another"),
]


def joined(*rows: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    table = pd.DataFrame(list(rows) or MEASURED, columns=measurements.COLUMNS)
    names = ["none", "cpsample", "distillmd"], ["secmi", "side"]
    return beside(REPORTED, "small", *names, table, **{"judges": ["local-sscd"], **more})


def found(rows: list[dict[str, Any]], paper: str, source: str, **said: str) -> dict[str, Any]:
    cited = REPORTED.papers[paper].cited
    mine = [r for r in rows if (r["paper"], r["source"]) == (cited, source)]
    (one,) = [r for r in mine if all(r[key] == value for key, value in said.items())]
    return one


def test_every_result_has_a_row_and_no_setting_has() -> None:
    rows = joined()
    results = [n for n in NUMBERS if n.unit != "setting"]
    assert [r["reported"] for r in rows] == [n.value for n in results]
    assert len(rows) == len(NUMBERS) - 60
    assert all(list(r) == COLUMNS for r in rows)
    assert all((r["measured"] is None) == bool(r["missing"]) for r in rows)
    assert list(frame(rows).columns) == COLUMNS
    assert frame([]).empty


def test_a_reported_number_stands_beside_that_of_the_same_defense_attack_and_access() -> None:
    cifar = {"dataset": "CIFAR-10, 25,000 members", "attack": "secmi", "metric": "auc"}
    plain = found(joined(), "dualmd", "Table 3", defense="none", **cifar)
    assert (plain["reported"], plain["measured"], plain["measured_metric"]) == (0.93, 0.98, "auc")
    assert (plain["ci_low"], plain["ci_high"], plain["n"], plain["seeds"]) == (0.97, 0.99, 500, 1)
    assert plain["sees"] == "weights"
    several = found(joined(), "dualmd", "Table 3", defense="distillmd", **cifar)
    assert several["measured"] == pytest.approx(0.54)
    assert several["seeds"] == 2


def test_a_row_says_what_differs_and_what_is_doubtful_and_no_verdict() -> None:
    at = {"dataset": FINE[0], "defense": "none", "metric": "copy_rate>0.97:dino"}
    one_ = found(joined(), "cpsample", "Table 1", **at)
    table = TABLES["cpsample", "Table 1"]
    assert one_["protocol"] == table.protocol
    assert one_["differs"] == table.differs
    assert all(sentence in one_["doubts"] for sentence in table.doubts.values())
    assert (one_["identifier"], one_["track"]) == ("arXiv 2409.07025", "small")
    assert not {"difference", "ratio", "verdict", "p"} & set(COLUMNS)
    assert "nothing is ranked" in EXPLAINED


def test_a_copy_rate_stands_beside_the_calibrated_one_of_plain_pictures() -> None:
    at = {"dataset": FINE[0], "defense": "none", "metric": "copy_rate>0.97:dino"}
    for judges, metric, value in (
        (["local-sscd"], "copy_rate:local-sscd", 0.17),
        (["pixels"], "copy_rate:pixels", 0.12),
    ):
        one_ = found(joined(judges=judges), "cpsample", "Table 1", **at)
        assert (one_["measured_metric"], one_["measured"]) == (metric, value)


def test_the_paper_s_own_space_comes_before_the_judge_s() -> None:
    at = {"dataset": "CIFAR-10, unconditional", "defense": "none", "metric": "nl2<1.4:pixels"}
    one_ = found(joined(), "amg", "Table 2", **at)
    assert (one_["measured_metric"], one_["measured"]) == ("nl2<1.4:pixels", 0.24)


def test_a_mean_over_lambdas_stands_beside_a_mean_and_never_the_best() -> None:
    faces = {"dataset": "CelebA-HQ-FI, 5,478 images", "attack": "side", "metric": "ams:mid:sscd"}
    one_ = found(joined(), "side", "Table 1", **faces)
    assert one_["measured_metric"] == "ams:mid:local-sscd:mean"


def test_of_two_spaces_that_of_the_paper_is_taken() -> None:
    faces = {"dataset": "CelebA-HQ-FI, 5,478 images", "attack": "side", "metric": "ams:mid:sscd"}
    side = {"attack": "side", "sees": "predictor"}
    two = [row(f"ams:mid:{space}:mean", 0.1, **side) for space in ("local-sscd", "sscd")]
    one_ = found(joined(*two), "side", "Table 1", **faces)
    assert one_["measured_metric"] == "ams:mid:sscd:mean"


def test_half_of_a_model_and_a_threshold_of_another_space_are_nobody_s_counterpart() -> None:
    rows = joined(row("auc:half-a", 0.9, **SECMI), row("copy_rate>0.97:pixels", 0.5, **PLAIN))
    assert all(r["measured"] is None for r in rows)


def test_of_p_values_over_seeds_the_largest_stands() -> None:
    at = {"dataset": FINE[2], "metric": "copy_logrank_p:dino"}
    one_ = found(joined(), "cpsample", "Table 1", **at)
    assert (one_["measured"], one_["ci_low"], one_["seeds"]) == (0.3, None, 2)
    bound = found(joined(), "cpsample", "Table 1", **{**at, "dataset": FINE[0]})
    assert (bound["bound"], bound["reported"]) == ("<", 0.0001)


@pytest.mark.parametrize(
    ("paper", "source", "said", "why"),
    [
        (
            "dualmd",
            "Table 3",
            {"defense": "none", "attack": "secmi", "metric": "tpr@1%fpr"},
            "too few strangers",
        ),
        (
            "dualmd",
            "Table 3",
            {"defense": "none", "attack": "pia", "metric": "auc"},
            "the attack 'pia' is not on this track",
        ),
        (
            "dualmd",
            "Table 10",
            {"defense": "kd", "metric": "auc"},
            "the defense 'kd' is not on this track",
        ),
        (
            "dualmd",
            "Table 5",
            {"defense": "none", "metric": "auc"},
            "reported of text-to-image networks, this track's are unconditional",
        ),
        (
            "amg",
            "Table 3",
            {"defense": "none", "metric": "fid:inception"},
            "reported of class-conditional networks, this track's are unconditional",
        ),
        ("cpsample", "Table 4", {"defense": "none", "dataset": "CIFAR-10"}, "not measured here"),
        (
            "cpsample",
            "Table 4",
            {"defense": "dpdm", "dataset": "CIFAR-10"},
            "the defense 'dpdm' is not on this track",
        ),
        (
            "dualmd",
            "Table 2",
            {"defense": "none", "dataset": "CIFAR-10", "metric": "inception_score"},
            "not measured here",
        ),
    ],
)
def test_where_nothing_is_measured_the_row_says_why(
    paper: str, source: str, said: dict[str, str], why: str
) -> None:
    cited = REPORTED.papers[paper].cited
    rows = [r for r in joined() if (r["paper"], r["source"]) == (cited, source)]
    mine = [r for r in rows if all(r[key] == value for key, value in said.items())]
    assert mine
    for one_ in mine:
        assert (one_["measured"], one_["ci_low"], one_["n"], one_["missing"]) == (
            None,
            None,
            None,
            why,
        )


def test_class_conditional_numbers_stand_beside_those_of_class_conditional_tracks_alone() -> None:
    at = {"defense": "none", "metric": "nl2<1.4:pixels"}
    for model, source in (("unconditional", "Table 2"), ("class-conditional", "Table 3")):
        rows = joined(model=model)
        assert found(rows, "amg", source, **at)["measured"] == 0.24
        other = "Table 3" if source == "Table 2" else "Table 2"
        assert found(rows, "amg", other, **at)["measured"] is None


def test_an_empty_board_and_one_read_back_from_csv_are_joined_too(tmp_path: Path) -> None:
    empty = pd.DataFrame(columns=measurements.COLUMNS)
    assert all(r["measured"] is None for r in beside(REPORTED, "small", ["none"], [], empty))
    table = pd.DataFrame(MEASURED, columns=measurements.COLUMNS)
    table.to_csv(tmp_path / "m.csv", index=False)  # empty texts come back as NaN
    again = pd.read_csv(tmp_path / "m.csv")
    names = ["none", "cpsample", "distillmd"], ["secmi", "side"]
    assert beside(REPORTED, "small", *names, again, judges=["local-sscd"]) == joined()


def test_the_order_of_the_measurements_does_not_matter() -> None:
    table = pd.DataFrame(MEASURED[::-1], columns=measurements.COLUMNS)
    names = ["none", "cpsample", "distillmd"], ["secmi", "side"]
    before = table.copy()
    assert beside(REPORTED, "small", *names, table, judges=["local-sscd"]) == joined()
    pd.testing.assert_frame_equal(table, before)
