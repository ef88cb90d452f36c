"""A tiny board from images to page: every file is there, and says what it should."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from leakboard import artefacts

if TYPE_CHECKING:
    from conftest import Folder

TRACK = "config/tracks/tiny.yaml"
DEFENSES = ("none", "cpsample", "amg", "rejection", "dualmd", "distillmd")
CONTROLS = ("copy-machine", "never-saw-members", "noise", "early-stop")
EVERY = (*DEFENSES, *CONTROLS)
COLUMNS = [
    "track",
    "seed",
    "defense",
    "sampler",
    "attack",
    "sees",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "n",
    "unit",
    "better",
    "reported",
    "digest",
    "status",
    "note",
]
REFERENCE = re.compile(r"""(?:\b(?:src|href|action)\s*=\s*["']?|url\(\s*["']?)(?:https?:)?//""")


@pytest.fixture
def rows(finished: Folder) -> pd.DataFrame:
    """Every measured number."""
    return pd.read_csv(finished.board / "measurements.csv", keep_default_na=False, dtype=str)


def test_the_measurements_have_the_promised_columns_and_equal_their_parquet(
    finished: Folder, rows: pd.DataFrame
) -> None:
    assert list(rows.columns) == COLUMNS
    assert rows["digest"].str.fullmatch("[0-9a-f]{16}").all()
    table = pd.read_parquet(finished.board / "measurements.parquet")
    assert list(table.columns) == COLUMNS
    numbers = ["seed", "value", "ci_low", "ci_high", "n", "reported"]
    for column in COLUMNS:
        if column in numbers:
            read = np.array([float(text or "nan") for text in rows[column]])
            kept = table[column].to_numpy(dtype=float, na_value=np.nan)
            np.testing.assert_array_equal(read, kept, err_msg=column)
        else:
            assert rows[column].tolist() == table[column].tolist(), column


def test_every_auc_is_that_of_scikit_learn_on_the_score_files(
    finished: Folder, rows: pd.DataFrame
) -> None:
    aucs = rows[rows["metric"] == "auc"].set_index(["defense", "attack", "sees"])["value"]
    compared = 0
    for file in (finished.board / "measurements/membership").rglob("*.json"):
        made = json.loads(file.read_text(encoding="utf-8"))
        inputs = (path for path, _ in made["inputs"]["scores"])
        paths = dict(zip(made["spec"]["scores"], inputs, strict=True))
        for cell in made["spec"]["cells"]:
            if len(cell["scores"]) == 1:  # of several networks, which score is another test's
                table = pd.read_parquet(finished.path / paths[cell["scores"][0]])
                test = table[table["fold"] == "test"]
                expected = roc_auc_score(test["pool"] == "members", test["score"])
                key = tuple(cell["about"][k] for k in ("defense", "attack", "sees"))
                assert float(aucs[key]) == pytest.approx(expected, abs=1e-12), key
                compared += 1
    assert compared > 20


def test_pictures_know_of_which_class_they_were_asked_and_how_often_they_were_drawn(
    finished: Folder, rows: pd.DataFrame
) -> None:
    def drawn(defense: str) -> dict[str, np.ndarray]:
        return dict(np.load(finished.shard(defense)))

    assert (drawn("none")["asked"] == -1).all()
    assert drawn("amg")["asked"].tolist() == [i % 10 for i in range(24)]
    screened = drawn("rejection")
    assert screened["tries"].max() <= 2
    value = pd.to_numeric(rows["value"])
    rate = value[rows["metric"] == "acceptance_rate"]
    assert rows.loc[rate.index, "defense"].tolist() == ["rejection"]
    assert rate.item() == pytest.approx(screened["passed"].sum() / screened["tries"].sum())
    other = rows[rows["metric"] == "out_of_class:local-classifier"]
    assert other["defense"].tolist() == ["amg"]


def test_every_number_is_finite_or_its_row_says_why_not(rows: pd.DataFrame) -> None:
    value = pd.to_numeric(rows["value"], errors="coerce")
    absent = rows[~np.isfinite(value)]
    assert (absent["value"] == "").all()
    assert ((absent["status"] != "ok") & (absent["note"] != "")).all()
    low, high = (pd.to_numeric(rows[c], errors="coerce") for c in ("ci_low", "ci_high"))
    both = low.notna() & high.notna()
    assert both.sum() > 10
    assert ((low <= value) & (value <= high))[both & value.notna()].all()


def test_every_cell_of_the_configuration_has_rows(rows: pd.DataFrame) -> None:
    for defense in DEFENSES:
        own = rows[rows["defense"] == defense]
        for metric in ("copy_rate:pixels", "fid:local-classifier", "kid:local-classifier"):
            assert (own["metric"] == metric).any(), (defense, metric)
        pairs = set(zip(own["attack"], own["sees"], strict=True)) - {("", "")}
        loss = {("loss", "weights"), ("loss", "predictor")}
        recognized = {("confidence", "weights")} if defense == "cpsample" else set()
        steered = {(f"side{which}", "predictor") for which in ("", ".lambda=0", ".lambda=3")}
        drawn = steered | {("random", "images"), ("again", "images")}
        extracted = drawn if defense == "distillmd" else set()
        expected = loss | {("pia", "weights"), ("one-step", "images")}
        assert pairs == expected | recognized | extracted
    blind = rows[rows["sees"] == "nothing"]  # of the track, and of no defense
    assert set(zip(blind["attack"], blind["defense"], strict=True)) == {("blind", "")}
    assert (blind["metric"] == "auc").sum() == 1
    assert not rows["metric"].str.contains("duplicate").any()  # nothing was planted
    assert not rows.duplicated(["defense", "sampler", "attack", "sees", "metric"]).any()


def test_side_at_lambda_0_is_plain_drawing_bit_for_bit_and_at_3_it_is_not(
    finished: Folder, rows: pd.DataFrame
) -> None:
    plain = np.load(finished.shard("distillmd"))["images"]
    none, some = (
        np.load(finished.shard("distillmd", "0-16", f"side.lambda={strength}"))["images"]
        for strength in (0, 3)
    )
    assert len(none) == len(some) == 16
    np.testing.assert_array_equal(none, plain[:16])
    assert (some != plain[:16]).any()
    own = rows[rows["defense"] == "distillmd"].set_index(["attack", "metric"])["value"]
    for metric in ("ams:near:pixels", "ums:near:pixels", "ams:copy:pixels"):
        assert own["side.lambda=0", metric] == own["random", metric]


def test_extraction_is_told_in_every_band_with_counts(rows: pd.DataFrame) -> None:
    own = rows[(rows["attack"] == "side.lambda=3") & rows["metric"].str.startswith("ams:")]
    bands = own[own["metric"].str.count(":") == 2].set_index("metric")
    every = ("low", "mid", "high", "near", "copy")
    assert set(bands.index) == {f"ams:{band}:pixels" for band in every}
    assert (bands["n"].astype(int) == 16).all()
    for value, note in zip(bands["value"].astype(float), bands["note"], strict=True):
        assert note == f"{round(16 * value)} of 16 pictures"
    best = rows[(rows["attack"] == "side") & (rows["metric"] == "ams:copy:pixels:best")]
    assert best["note"].item().startswith("lambda = 3, chosen on the other half")
    assert best["n"].astype(int).item() == 8


def test_the_theory_is_measured_and_its_ratio_where_labels_are_told(rows: pd.DataFrame) -> None:
    metric = rows["metric"] == "memorization_metric@0.1:pixels"
    assert set(rows.loc[metric, "defense"]) == set(EVERY)
    ratio = rows["metric"].str.startswith("conditional_kl_ratio@")
    assert set(rows.loc[ratio, "defense"]) == {"amg"}
    assert set(rows.loc[ratio, "metric"]) == {
        "conditional_kl_ratio@0:pixels",
        "conditional_kl_ratio@0.1:pixels",
    }


def test_whoever_holds_the_weights_sees_no_sampling_time_defense(rows: pd.DataFrame) -> None:
    seen = rows[(rows["sees"] == "weights") & (rows["attack"] != "confidence")]
    seen = seen.drop(columns="digest")  # it names the defense
    one, two = (
        seen[seen["defense"] == name].drop(columns="defense").reset_index(drop=True)
        for name in ("none", "cpsample")
    )
    assert len(one) > 8
    pd.testing.assert_frame_equal(one, two)


def test_the_undefended_predictor_is_the_network_itself(rows: pd.DataFrame) -> None:
    own = rows[(rows["defense"] == "none") & (rows["attack"] == "loss")].set_index("metric")
    weights, predictor = (own[own["sees"] == sees] for sees in ("weights", "predictor"))
    assert len(weights) > 4
    assert weights["value"].to_dict() == predictor["value"].to_dict()


def test_whoever_holds_two_networks_uses_the_combination_that_tells_most(
    rows: pd.DataFrame,
) -> None:
    own = rows[(rows["defense"] == "dualmd") & (rows["attack"] == "loss")]
    own = own[own["sees"] == "weights"].set_index("metric")
    every = ["half-a", "half-b", "max", "mean"]
    values = own.loc[[f"auc:{name}" for name in every], "value"].map(float)
    assert values.nunique() > 1
    (said,) = {note.partition(";")[0] for note in own.loc[["auc", "asr"], "note"]}
    (chosen,) = [
        name for name in every if said in (f"scored by {name}", f"{name} over half-a and half-b")
    ]
    assert float(own.loc["auc", "value"]) == values[f"auc:{chosen}"]
    assert not rows[rows["sees"] != "weights"]["metric"].str.startswith("auc:").any()


def test_equal_steps_on_half_the_images_are_twice_the_epochs(finished: Folder) -> None:
    table = pd.read_csv(finished.board / "trainings.csv").set_index("network")
    assert (table["steps"][["base", "half-a", "half-b", "distilled"]] == 8).all()
    images = {"base": 20, "half-a": 10, "half-b": 10, "distilled": 20}
    assert table["images"][list(images)].to_dict() == images
    assert table["epochs"]["half-a"] == 2 * table["epochs"]["base"] == 2 * 8 * 16 / 20
    assert table["epochs"]["distilled"] == table["epochs"]["base"]
    assert table["teachers"]["distilled"] == "half-b on half-a, half-a on half-b"
    curve = pd.read_csv(finished.network("half-a") / "training.csv")
    assert curve[["step", "epoch"]].to_numpy().tolist() == [[8, 12.8]]


def test_a_defense_that_acts_changes_pictures_and_what_its_predictor_tells(
    finished: Folder, rows: pd.DataFrame
) -> None:
    drawn = (np.load(finished.shard(name))["images"] for name in ("none", "cpsample"))
    assert not np.array_equal(*drawn)
    own = rows[(rows["sees"] == "predictor") & (rows["metric"] == "z")].set_index("defense")
    assert own.loc["none", "value"] != own.loc["cpsample", "value"]


def test_the_leaderboard_is_there_as_a_table_as_text_and_as_one_page(finished: Folder) -> None:
    table = pd.read_csv(finished.board / "leaderboard.csv")
    assert sorted(table["defense"]) == sorted(EVERY)
    assert (table["status"] == "complete").all()
    text = (finished.board / "leaderboard.md").read_text(encoding="utf-8")
    assert "| **none** |" in text
    assert "| **cpsample** |" in text
    assert text.startswith("**INVALID**")  # so little training leaves nothing to be found
    page = (finished.results / "leaderboard.html").read_text(encoding="utf-8")
    assert "cpsample" in page
    assert "default-src &#39;none&#39;" in page  # what its libraries could ask for, it may not
    own = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert not REFERENCE.search(own)
    assert "@import" not in own


def test_the_page_can_be_drawn_again_from_files_beside_the_figures(finished: Folder) -> None:
    folder = finished.board / "figures"
    curves = pd.read_csv(folder / "curves.csv")
    rows = pd.read_csv(finished.board / "measurements.csv")
    aucs = rows[(rows["metric"] == "auc") & (rows["sees"] != "nothing")]
    keys = ["attack", "sees", "defense"]
    drawn = curves.drop_duplicates(keys).set_index(keys)["auc"]
    pd.testing.assert_series_equal(
        drawn.sort_index(), aucs.set_index(keys)["value"].sort_index(), check_names=False
    )
    bars = pd.read_csv(folder / "histograms.csv", keep_default_na=False)
    copies = bars[bars["low"] >= bars["threshold"] - 1e-9].groupby("defense")["count"].sum()
    shares = rows[(rows["metric"] == "copy_rate:pixels")].set_index("defense")["value"]
    assert (copies[shares.index] / 24).to_dict() == pytest.approx(shares.to_dict())
    gallery = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    assert set(gallery["pairs"]) == set(shares.index)
    for name in ("samples", "neighbors", "roc", "similarity", "extraction", "loss"):
        assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_every_picture_file_opens(finished: Folder) -> None:
    files = sorted(finished.board.rglob("*.png"))
    names = [file.stem for file in files]
    assert names.count("preview") == len(EVERY)
    assert {"samples", "neighbors", "roc", "similarity"} <= set(names)
    for file in files:
        with Image.open(file) as image:
            low, high = image.convert("L").getextrema()
            assert low < high, file


def test_the_split_has_the_sizes_asked_for_and_balanced_halves_and_folds(
    finished: Folder,
) -> None:
    split = pd.read_csv(finished.board / "subset/split.csv", keep_default_na=False)
    assert split["index"].tolist() == list(range(1797))  # one row, so one pool, for each image
    sizes = split["pool"].value_counts()
    assert (sizes["members"], sizes["held-out"]) == (20, 60)
    assert set(sizes.index) <= {"members", "held-out", "reference", "dropped"}
    members, held_out = (split[split["pool"] == pool] for pool in ("members", "held-out"))
    rest = split[split["pool"].isin(["reference", "dropped"])]
    assert members["half"].value_counts().to_dict() == {"a": 10, "b": 10}
    assert members["fold"].value_counts().to_dict() == {"dev": 10, "test": 10}
    assert held_out["fold"].value_counts().to_dict() == {"dev": 30, "test": 30}
    assert (pd.concat([held_out["half"], rest["half"], rest["fold"]]) == "").all()
    for table, column in ((members, "half"), (members, "fold"), (held_out, "fold")):
        counts = pd.crosstab(table["label"], table[column])
        assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
        assert len(counts) == 10
    assert pd.crosstab(members["half"], members["fold"]).to_numpy().tolist() == [[5, 5], [5, 5]]


def test_diffusers_opens_a_network_and_draws_with_it(finished: Folder) -> None:
    from diffusers import DDIMPipeline, UNet2DModel

    folder = finished.network("base")
    names = {file.name for file in folder.iterdir()}
    assert "diffusion_pytorch_model.safetensors" in names
    assert not any(name.endswith((".bin", ".pt", ".pkl", ".ckpt")) for name in names)
    net = UNet2DModel.from_pretrained(folder)
    pipeline = DDIMPipeline.from_pretrained(folder)
    assert list(net.config.block_out_channels) == [8, 16]
    own, piped = net.state_dict(), pipeline.unet.state_dict()
    assert all(own[key].equal(piped[key]) for key in own)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(batch_size=2, num_inference_steps=2, output_type="np").images
    assert drawn.shape == (2, 8, 8, 1)
    assert np.isfinite(drawn).all()


def test_a_finished_board_has_nothing_left_to_do(board: Folder) -> None:
    assert board.jobs() == set()
    assert not list(board.results.rglob(".tmp-*"))
    assert not list(board.results.rglob("checkpoints/**/*.safetensors"))


def test_a_picture_depends_neither_on_the_shards_nor_on_how_many_others_are_drawn(
    board: Folder,
) -> None:
    before = np.load(board.shard("cpsample"))["images"]
    assert before.shape == (24, 8, 8, 1)
    board.shard("cpsample").unlink()  # so that they are drawn, and not found
    board.set(TRACK, "shards", 3)
    board.set(TRACK, "sampling.images", 32)
    shards = [board.shard("cpsample", name) for name in ("0-8", "8-16", "16-32")]
    done = board.snakemake(*(str(file.relative_to(board.path)) for file in shards))
    assert done.returncode == 0, done.stdout
    after = np.concatenate([np.load(shard)["images"] for shard in shards])
    assert len(after) == 32
    np.testing.assert_array_equal(after[:24], before)


def test_a_training_starts_from_a_diffusers_folder_as_it_does_from_a_network(board: Folder) -> None:
    before = (board.network("base") / "training.csv").read_bytes()
    shutil.copytree(board.network("pretrained"), board.path / "elsewhere")
    board.set("config/config.yaml", "networks.base.init", "elsewhere")
    target = "results/tiny/networks/base/seed0/config.json"
    assert "train base" in board.jobs(target)
    done = board.snakemake(target)
    assert done.returncode == 0, done.stdout
    assert (board.network("base") / "training.csv").read_bytes() == before


def undefended(content: dict[str, Any]) -> None:
    """Leave out all defenses and attacks."""
    content["defenses"] = {"none": content["defenses"]["none"]}
    content["attacks"] = {"blind": content["attacks"]["blind"]}


def test_planted_duplicates_are_trained_on_and_a_deduplication_finds_them(board: Folder) -> None:
    before = pd.read_csv(board.board / "subset/split.csv", keep_default_na=False)
    board.set(TRACK, "subset.duplicates", {"images": 4, "times": 3})
    unique = {"trainer": "standard", "data": "members", "training": {"steps": 8}}
    unique["dedup"] = {"extractor": "pixels", "similarity": 0.95}
    board.set("config/config.yaml", "networks.unique", unique)
    board.change("config/config.yaml", undefended)
    cell = "measurements/copying/pixels/plain/seed0.json"
    files = [board.network("unique") / "config.json", board.board / cell]
    done = board.snakemake(*(str(file.relative_to(board.path)) for file in files))
    assert done.returncode == 0, done.stdout
    split = pd.read_csv(board.board / "subset/split.csv", keep_default_na=False)
    assert split.drop(columns="times").equals(before.drop(columns="times"))
    planted = split[split["times"] == 3]
    assert (len(planted), set(planted["pool"])) == (4, {"members"})
    table = pd.read_csv(board.board / "subset/dedup/unique.csv")
    assert table["index"].tolist() == split.loc[split["pool"] == "members", "index"].tolist()
    assert (table["kept"] == 1).all()  # distinct images are not alike, each stays once
    perf = board.board / "perf/train"
    shown = {
        name: json.loads((perf / name / "seed0.json").read_text(encoding="utf-8"))
        for name in ("base", "unique")
    }
    assert {name: job["images"] for name, job in shown.items()} == {"base": 28, "unique": 20}
    assert shown["base"]["steps"] == shown["unique"]["steps"] == 8
    every = artefacts.read_json(files[1])["rows"]
    rows = {row["metric"]: row for row in every if row["defense"] == "none"}
    assert rows["copies_of_duplicates:pixels"]["n"] == 24
    assert "4 members trained on 3 times" in rows["copies_per_duplicate_ratio:pixels"]["note"]
