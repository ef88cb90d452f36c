"""Finished batches are found again: by a job that goes on, and by one that shares work anew."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from leakboard import artefacts, kept
from leakboard.digests import digest
from leakboard.errors import UserError
from leakboard.kept import Kept
from leakboard.report.pictures import Shown

KEY = "0123456789abcdef"


def batch(first: int, stop: int) -> dict[str, np.ndarray]:
    return {"images": np.arange(first, stop)[:, None] * 10, "asked": np.arange(first, stop)}


def added(folder, *ranges, key=KEY):
    known = Kept(folder, key)
    for first, stop in ranges:
        known.add(first, stop, batch(first, stop), 2.0)
    known.write()
    return known


def same(found, first, stop) -> None:
    assert found is not None
    assert found.keys() == {"images", "asked"}
    for name, array in batch(first, stop).items():
        np.testing.assert_array_equal(found[name], array)


def test_a_job_that_is_ended_by_anything_keeps_its_batches(tmp_path):
    def interrupted() -> None:
        with Kept(tmp_path, KEY) as known:
            known.add(0, 4, batch(0, 4), 1.0)
            known.add(4, 8, batch(4, 8), 3.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    later = Kept(tmp_path, KEY)
    same(later.find(4, 8, True), 4, 8)
    assert later.find(8, 12, True) is None
    assert later.seconds == 2.0  # half of what both took


def test_batches_are_written_as_they_come_so_that_a_killed_job_loses_little(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "SECONDS", -1)
    known = Kept(tmp_path, KEY)
    known.add(0, 4, batch(0, 4), 1.0)
    same(Kept(tmp_path, KEY).find(0, 4, True), 0, 4)


def test_what_was_made_from_anything_else_is_not_used(tmp_path):
    added(tmp_path, (0, 4), key="fedcba9876543210")
    assert Kept(tmp_path, KEY).find(0, 4, True) is None


def test_a_key_names_the_spec_and_what_every_file_holds(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_text(file.name)
    key = kept.key({"x": 1}, files)
    assert len(key) == 16
    assert kept.key({"x": 1}, files) == key
    assert kept.key({"x": 2}, files) != key
    assert kept.key({"x": 1}, files[::-1]) != key
    files[0].write_text("other")
    assert kept.key({"x": 1}, files) != key


def test_a_batch_that_the_end_cut_short_is_another_one_where_more_images_are_known(tmp_path):
    added(tmp_path / "more", (0, 4), (4, 8))
    assert Kept(tmp_path / "more", KEY).find(4, 6, False) is None
    same(Kept(tmp_path / "more", KEY).find(4, 8, True), 4, 8)
    added(tmp_path / "less", (0, 4), (4, 6))
    same(Kept(tmp_path / "less", KEY).find(4, 6, False), 4, 6)
    assert Kept(tmp_path / "less", KEY).find(4, 8, True) is None


def test_finished_files_are_looked_through_and_what_they_took_is_counted(tmp_path):
    shards, costs = tmp_path / "shards", tmp_path / "costs"
    for first, stop in ((0, 4), (4, 8)):
        marks = kept.marks(KEY, first, stop)
        artefacts.write_npz(shards / f"{first}-{stop}.npz", {}, **marks, **batch(first, stop))
        cost = {"drawing_seconds": 4.0 + first, "images": 4}
        artefacts.write_json(costs / f"{first}-{stop}.json", cost)
    known = Kept(tmp_path / "none", KEY, kept.finished(shards, costs))
    same(known.find(0, 2, True), 0, 2)
    same(known.find(6, 8, False), 6, 8)
    assert known.find(2, 6, True) is None  # half in one file, half in the other
    assert known.seconds == 2 * 1.0 + 2 * 2.0
    (costs / "0-4.json").unlink()
    assert list(kept.finished(shards, costs)) == [shards / "4-8.npz"]


def test_a_damaged_file_is_none(tmp_path):
    added(tmp_path, (0, 4))
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    assert Kept(tmp_path, KEY).find(0, 4, True) is None
    place = whole.index(b"images.npy") + 40  # in what is packed; the directory at the end is whole
    file.write_bytes(whole[:place] + bytes(20) + whole[place + 20 :])
    assert Kept(tmp_path, KEY).find(0, 4, True) is None


def test_scores_of_all_images_are_answers_unless_a_head_gave_them(tmp_path):
    table = pd.DataFrame({"index": [7, 9, 11], "score": [0.5, 0.25, 0.125]})
    artefacts.write_table(tmp_path / "a.parquet", {}, table, key=KEY)
    artefacts.write_table(tmp_path / "b.parquet", {}, table)
    found = Kept(tmp_path / "none", KEY, [tmp_path / "a.parquet"]).find(1, 3, False)
    assert found is not None
    assert found["answers"].tolist() == [0.25, 0.125]
    assert Kept(tmp_path / "none", KEY, [tmp_path / "b.parquet"]).find(1, 3, False) is None
    assert Kept(tmp_path / "none", KEY, [tmp_path / "c.parquet"]).find(1, 3, False) is None


def test_a_job_that_is_done_forgets_its_own_batches_alone(tmp_path):
    added(tmp_path, (0, 4))
    added(tmp_path, (4, 8))
    known = Kept(tmp_path, KEY)
    known.forget(0, 4)
    assert known.find(0, 4, True) is None
    same(Kept(tmp_path, KEY).find(4, 8, True), 4, 8)
    Kept(tmp_path, KEY).forget(4, 8)
    assert not list(tmp_path.iterdir())


def test_shards_are_read_one_after_another_into_one_array(tmp_path):
    files = []
    for first, stop in ((0, 3), (3, 4), (4, 9)):
        files.append(tmp_path / f"{first}-{stop}.npz")
        marks = kept.marks(KEY, first, stop)
        artefacts.write_npz(files[-1], {"x": 1}, **marks, **batch(first, stop))
    whole = artefacts.read_shards(files)
    same(whole, 0, 9)
    assert artefacts.read_shards(files, names=["asked"])["asked"].tolist() == list(range(9))
    some = artefacts.some_pictures(files, np.array([8, 2, 3]))
    assert some[:, 0].tolist() == [80, 20, 30]
    assert artefacts.first_pictures(files, 100).shape == (9, 1)
    with pytest.raises(Exception, match="made by another configuration"):
        artefacts.read_shards(files, "0" * 16)


def test_large_arrays_are_made_one_after_another_and_read_by_name_and_row(tmp_path):
    spec = {"stage": "embed_pools"}

    def view(name: str) -> np.ndarray:
        return np.full((2000, 256), ord(name[0]), dtype=np.float32)  # 2 MB

    names = ("real", "altered", "mirrored")
    for file in ("a.npz", "b.npz"):
        tracemalloc.start()
        views = {name: lambda name=name: view(name) for name in names}
        artefacts.write_npz(tmp_path / file, spec, **views, few=np.arange(3))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 3 * 2000 * 256 * 4  # one of them, and its bytes as they are written
    path, known = tmp_path / "a.npz", digest(spec)
    assert path.read_bytes() == (tmp_path / "b.npz").read_bytes()
    whole = artefacts.read_npz(path, known)
    assert [*whole] == [*names, "few"]
    assert (whole["altered"] == ord("a")).all()
    assert [*artefacts.read_npz(path, known, ["few", "classes"])] == ["few"]
    rows = artefacts.read_rows(path, known, "mirrored", np.array([5, 7]))
    np.testing.assert_array_equal(rows, whole["mirrored"][[5, 7]])
    assert artefacts.read_rows(path, known, "classes", np.array([0])) is None
    with pytest.raises(UserError, match="made by another configuration"):
        artefacts.read_rows(path, "0" * 16, "real", np.array([0]))


def test_joining_takes_no_more_memory_for_more_shards(tmp_path):
    features = np.random.default_rng(0).normal(size=(4000, 128)).astype(np.float32)  # 2 MB

    def peak(shards: int) -> int:
        files = []
        for k, part in enumerate(np.split(features, shards)):
            files.append(tmp_path / f"{shards}-{k}.npz")
            artefacts.write_npz(files[-1], {}, features=part, numbers=np.arange(len(part)))
        tracemalloc.start()
        joined = artefacts.read_shards(files)["features"]
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(joined, features)
        return most

    few, many = peak(4), peak(40)
    assert many < few < 2 * features.nbytes


def test_figures_show_the_same_however_many_files_hold_the_pictures(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(200, 2, 2, 1), dtype=np.uint8)
    table = pd.DataFrame({"sample": np.arange(200), "neighbor": 0, "similarity": rng.random(200)})
    table.loc[150:159, "similarity"] = 2.0  # the closest calls are in no first file
    found = []
    for shards in (1, 8):
        files = []
        for k, part in enumerate(np.array_split(np.arange(200), shards)):
            files.append(tmp_path / f"{shards}-{k}.npz")
            artefacts.write_npz(files[-1], {}, images=images[part], numbers=part)
        found.append(Shown.of(files, table, gallery=4))
    one, many = found
    for each in found:
        np.testing.assert_array_equal(each.first, images[:64])
        np.testing.assert_array_equal(each.closest, images[150:160])
        assert each.calls["sample"].tolist() == list(range(150, 160))
    pd.testing.assert_frame_equal(one.calls, many.calls)
