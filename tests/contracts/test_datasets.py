"""Datasets: the published formats, a user's own files, and what is refused by name."""

import gzip
import io
import pickle
import struct
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from leakboard import cifar, datasets, pickles, pictures, plugins
from leakboard.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), dtype=np.uint8)


def load(method: str, path: Path, **params: Any) -> Any:
    return datasets.load(method, {"path": str(path), **params})[:2]


def folder(path: Path) -> Path:
    """Six pictures in two folders, written so that sorting by path gives PIXELS."""
    for i, pixels in enumerate(PIXELS):
        file = path / ("ants" if i < 2 else "bees") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    (path / "bees" / "notes.txt").write_text("no picture", encoding="utf-8")
    return path


def test_the_digits_are_all_there() -> None:
    images, labels = plugins.load("datasets", "digits", {}).load()
    assert images.shape == (1797, 8, 8, 1)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert len(np.unique(images)) == 17
    assert np.bincount(labels).min() > 170
    assert labels.dtype == np.int64
    assert plugins.constant("datasets", "digits", "size") == len(images)


def test_a_folder_is_read_in_order_of_its_paths(tmp_path: Path) -> None:
    images, labels = load("folder", folder(tmp_path))
    assert np.array_equal(images, PIXELS)
    assert images.dtype == np.uint8
    assert labels.tolist() == [0, 0, 1, 1, 1, 1]
    gray, _ = load("folder", tmp_path, grayscale=True)
    assert gray.shape == (6, 9, 7, 1)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a picture", id="text"),
        pytest.param(None, id="cut short"),
    ],
)
def test_a_file_that_cannot_be_decoded_is_named(tmp_path: Path, content: bytes | None) -> None:
    bad = folder(tmp_path) / "bees" / "5.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UserError, match=r"bees.5\.png: not an image .* replace or remove"):
        load("folder", tmp_path)


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[0][:8]).save(folder(tmp_path) / "bees" / "4.png")
    with pytest.raises(UserError, match=r"4\.png: is 7x8, but .*0\.png is 7x9; .*one size"):
        load("folder", tmp_path)


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_pictures_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"dataset\.params\.path: no images in .*{name}"):
        load("folder", tmp_path / name)


def test_an_archive_is_read_whole_or_from_its_beginning(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.arange(6))
    images, labels = load("npz", tmp_path / "a.npz")
    assert np.array_equal(images, PIXELS)
    assert labels.tolist() == list(range(6))
    images, labels = load("npz", tmp_path / "a.npz", limit=4)
    assert np.array_equal(images, PIXELS[:4])
    assert labels.tolist() == [0, 1, 2, 3]
    np.savez(tmp_path / "gray.npz", images=PIXELS[..., 0])
    images, labels = load("npz", tmp_path / "gray.npz")
    assert images.shape == (6, 9, 7, 1)
    assert labels.dtype == np.int64
    assert labels.tolist() == [0] * 6


def _cut(path: Path) -> None:
    np.savez(path, images=PIXELS)
    path.write_bytes(path.read_bytes()[:-100])


def _damaged(path: Path) -> None:
    np.savez_compressed(path, images=PIXELS)
    content = bytearray(path.read_bytes())
    content[60:100] = bytes(40)
    path.write_bytes(content)


def _npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, PIXELS)


def _archive(**arrays: Any) -> Any:
    return lambda path: np.savez(path, **arrays)


ARCHIVES = [
    pytest.param(lambda path: None, "not a .npz", id="missing"),
    pytest.param(_cut, "not a .npz", id="cut short"),
    pytest.param(lambda path: path.write_text("images"), "not a .npz", id="text"),
    pytest.param(_archive(pictures=PIXELS), "`images`", id="no images in it"),
    pytest.param(_archive(images=PIXELS / 255), "float64.*expected uint8", id="floats"),
    pytest.param(_archive(images=PIXELS[0, 0]), "expected uint8", id="too few axes"),
    pytest.param(_archive(images=PIXELS, labels=np.arange(5)), r"\(5,\)", id="too few labels"),
    pytest.param(_archive(images=np.array([PIXELS, 1], dtype=object)), "not a .npz", id="objects"),
    pytest.param(
        _damaged,
        "not a .npz",
        id="damaged",
    ),
    pytest.param(
        _npy,
        "not a .npz",
        id="a .npy",
    ),
    pytest.param(
        _archive(images=PIXELS[:0]),
        "",
        id="no image in it",
    ),
    pytest.param(
        _archive(images=PIXELS, labels=np.array(list("abcdef"))),
        "labels",
        id="labels of text",
    ),
    pytest.param(
        _archive(images=PIXELS, labels=np.array(3)),
        "labels",
        id="one label for all",
    ),
]


@pytest.mark.parametrize(("make", "said"), ARCHIVES)
def test_an_archive_that_cannot_be_used_is_named(tmp_path: Path, make: Any, said: str) -> None:
    path = tmp_path / "bad.npz"
    make(path)
    with pytest.raises(UserError, match=rf"(?s)bad\.npz.*{said}|{said}.*bad\.npz"):
        load("npz", path)


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(UserError, match="limit"):
        plugins.params("datasets", "npz", {"path": "a.npz", "limit": -5})


def test_several_archives_are_one_dataset_that_says_which_image_is_of_which(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=PIXELS[:4], labels=np.arange(4), index=[7, 5, 3, 1])
    np.savez(tmp_path / "b.npz", x=PIXELS[4:], y=[4, 5], index=[8, 6])
    paths = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    images, labels, columns = datasets.load("npz", {"path": paths})
    assert np.array_equal(images, PIXELS)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert columns["number"].tolist() == [7, 5, 3, 1, 8, 6]
    assert columns["file"].tolist() == ["a.npz"] * 4 + ["b.npz"] * 2
    np.savez(tmp_path / "b.npz", images=PIXELS[4:, :5])
    with pytest.raises(UserError, match=r"b\.npz: images of \(5, 7, 3\).*one size"):
        datasets.load("npz", {"path": paths})
    assert plugins.params("datasets", "npz", {"path": paths})["path"] == tuple(paths)
    with pytest.raises(UserError, match="path"):
        plugins.params("datasets", "npz", {"path": 3})


# --- crop, size, limit ---------------------------------------------------------------------------


def test_a_crop_is_of_the_center_and_a_size_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    for i, pixels in enumerate(PIXELS):  # 9 high, 7 wide
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    where = {"path": str(tmp_path)}
    assert np.array_equal(datasets.load("folder", where, crop=3).images, PIXELS[:, 3:6, 2:5])
    square = datasets.load("folder", where, crop="square").images
    assert np.array_equal(square, PIXELS[:, 1:8])
    for name in pictures.RESIZING:
        found = datasets.load("folder", where, crop="square", size=4, filter=name).images
        for pixels, image in zip(square, found, strict=True):
            resized = Image.fromarray(pixels).resize((4, 4), Image.Resampling[name.upper()])
            assert np.array_equal(np.asarray(resized), image)
    np.savez(tmp_path / "a.npz", images=PIXELS)
    found = datasets.load("npz", {"path": str(tmp_path / "a.npz")}, crop="square", size=4).images
    assert np.array_equal(found, datasets.load("folder", where, crop="square", size=4).images)
    with pytest.raises(UserError, match=r"0\.png: is 7x9, too small for dataset\.crop: 8"):
        datasets.load("folder", where, crop=8)
    with pytest.raises(UserError, match=r"0\.png: is 7x9.*distort.*crop: square"):
        datasets.load("folder", where, size=4)


def test_an_antialiased_resize_keeps_the_mean_of_a_checkerboard() -> None:
    board = np.indices((64, 64)).sum(0)[..., None].astype(np.uint8) % 2 * 255
    for name in pictures.RESIZING:
        small = pictures.Frame(size=8, filter=name).fit(board, "board")
        assert abs(small[2:-2, 2:-2].astype(float) - 127.5).max() < 3


def test_a_limit_decodes_no_more_than_it_lets_in(tmp_path: Path) -> None:
    for i in range(20):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i:02}.png")
    where = {"path": str(tmp_path), "grayscale": True}
    images, _, columns = datasets.load("folder", where, limit=5)
    assert len(images) == len(columns["file"]) == 5
    assert [f"{image[0, 0, 0]:02}.png" for image in images] == columns["file"].tolist()
    assert sorted(columns["file"]) == columns["file"].tolist()
    other = datasets.load("folder", where, limit=5, seed=1).columns["file"]
    assert other.tolist() != columns["file"].tolist()
    for name in {f"{i:02}.png" for i in range(20)} - set(columns["file"].tolist()):
        (tmp_path / name).write_bytes(b"nothing that anybody can read")
    assert np.array_equal(datasets.load("folder", where, limit=5).images, images)
    assert len(datasets.load("npz", _npz(tmp_path), limit=50).images) == 6


def _npz(path: Path) -> dict[str, str]:
    np.savez(path / "few.npz", images=PIXELS)
    return {"path": str(path / "few.npz")}


# --- what a file may be --------------------------------------------------------------------------


def one(path: Path, grayscale: bool = False) -> Any:
    return pictures.decoded(path, path.name, grayscale=grayscale)


def test_transparency_lies_on_white_in_every_mode_that_has_it(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 200, [[255], [0], [51], [255]]
    image = Image.fromarray(pixels)
    image.save(tmp_path / "rgba.png")
    found = one(tmp_path / "rgba.png")
    assert found[0, 0].tolist() == [200, 0, 0]
    assert found[1, 0].tolist() == [255, 255, 255]
    assert found[2, 0].tolist() == [244, 204, 204]  # a fifth of the color
    Image.fromarray(pixels[..., [0, 3]]).save(tmp_path / "la.png")
    assert one(tmp_path / "la.png")[:, 0].tolist() == [[200] * 3, [255] * 3, [244] * 3, [200] * 3]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "p.png", transparency=1)
    assert one(tmp_path / "p.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_sixteen_bits_become_the_nearest_of_256_levels(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        assert one(tmp_path / name, grayscale=True)[..., 0].tolist() == [[0, 0, 1, 1, 128, 255]]
        assert one(tmp_path / name).shape == (1, 6, 3)
    Image.fromarray(deep.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UserError, match=r"float\.tif: .*mode F, expected 8 or 16 bits"):
        one(tmp_path / "float.tif")


def test_a_picture_is_turned_as_it_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.fromarray(PIXELS[0]).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(one(tmp_path / "turned.png"), np.rot90(PIXELS[0], -1))
    assert ImageOps.exif_transpose(Image.open(tmp_path / "turned.png")).size == (9, 7)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.png"])
def test_a_picture_of_several_frames_is_refused_and_of_one_is_not(
    tmp_path: Path, name: str
) -> None:
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    first.save(tmp_path / name)
    assert one(tmp_path / name)[0, 0, 0] > 250
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.raises(UserError, match=rf"{name}: has 2 frames"):
        one(tmp_path / name)


def test_a_phone_s_picture_with_a_preview_behind_it_is_one_picture(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert one(tmp_path / "a.jpg")[0, 0, 0] > 250


def test_a_bomb_and_a_program_by_the_name_of_a_picture_are_refused(tmp_path: Path) -> None:
    Image.new("1", (40_000, 40_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 2**20
    with pytest.raises(UserError, match=r"bomb\.png: .*(pixels|bomb)"):
        one(tmp_path / "bomb.png")
    Image.new("1", (9_000, 9_000)).save(tmp_path / "large.png")
    with pytest.raises(UserError, match=r"large\.png: is 9000x9000, more than 67,108,864 pixels"):
        one(tmp_path / "large.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")  # PostScript, which Pillow would run
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: not an image"):
        one(tmp_path / "a.png")


def test_labels_and_captions_are_read_from_tables_beside_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(tmp_path)
    names = [f"{'ants' if i < 2 else 'bees'}/{i}.png" for i in range(6)]
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{n},{k % 2 * 5}\n" for k, n in enumerate(names)))
    said = [f'{n},"No. {k}, ""it"""' for k, n in enumerate(names)]
    (tmp_path / "captions.csv").write_text("file,caption\n" + "\n".join(reversed(said)))
    _, labels, columns = datasets.load("folder", {"path": str(tmp_path)})
    assert labels.tolist() == [0, 5, 0, 5, 0, 5]
    assert columns["file"].tolist() == names
    assert columns["caption"].tolist() == [f'No. {k}, "it"' for k in range(6)]
    assert "1 files not read: .txt\n" in capsys.readouterr().out
    table.write_text("file,label\n" + "".join(f"{n},{n[:3]}\n" for n in names))
    assert load("folder", tmp_path)[1].tolist() == [0, 0, 1, 1, 1, 1]
    for rows, message in {
        f"{names[0]},1\n{names[0]},1\n": r"row 3: 'ants/0\.png' is named twice",
        "".join(f"{n},1\n" for n in names[1:]): r"says nothing of 'ants/0\.png' \(1 such\)",
        "".join(f"{n},1\n" for n in [*names, "../x.png"]): r"'\.\./x\.png' is not there",
        "a\n": "row 2: expected the columns file,label",
    }.items():
        table.write_text("file,label\n" + rows)
        with pytest.raises(UserError, match=rf"labels\.csv: {message}"):
            load("folder", tmp_path)


# --- CIFAR ---------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
COLORS = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)  # two images in each of six files
TENS = np.array([3, 9, 0, 5, 1, 8, 2, 7, 4, 6, 9, 0])


def planes(images: Any) -> Any:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def old(value: Any) -> bytes:
    """A value as Python 2 wrote it into the published archives: its strings are bytes."""
    match value:
        case int():
            return b"K" + bytes([value])
        case str() if len(value) < 256:
            return b"U" + bytes([len(value)]) + value.encode()
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case list():
            return b"]q\x00(" + b"".join(map(old, value)) + b"e"
        case np.ndarray():
            high, wide = (b"M" + struct.pack("<H", n) for n in value.shape)
            kind = b"cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87R"
            kind += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            made = (
                b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
            )
            return (
                made
                + b"(K\x01"
                + high
                + wide
                + b"\x86"
                + kind
                + b"\x89"
                + old(value.tobytes())
                + b"tb"
            )
        case dict():
            items = b"".join(old(key) + old(item) for key, item in value.items())
            return b"}q\x07(" + items + b"u"
    raise TypeError(value)


def python2(value: Any) -> bytes:
    return b"\x80\x02" + old(value) + b"."


def python3(value: Any) -> bytes:
    return pickle.dumps(value, protocol=2)


TEN = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]


def ten(write: Any) -> dict[str, bytes]:
    """The files of cifar-10-python, of two images each."""
    return {
        f"cifar-10-batches-py/{name}": write(
            {
                "batch_label": f"batch {name}",
                "labels": TENS[2 * k : 2 * k + 2].tolist(),
                "data": planes(COLORS[2 * k : 2 * k + 2]),
                "filenames": ["a.png", "b.png"],
            }
        )
        for k, name in enumerate(TEN)
    }


def ten_binary() -> dict[str, bytes]:
    records = np.hstack([TENS[:, None].astype(np.uint8), planes(COLORS)])
    return {
        f"cifar-10-batches-bin/{name}.bin": records[2 * k : 2 * k + 2].tobytes()
        for k, name in enumerate(TEN)
    }


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def spread(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("files", [ten(python2), ten(python3), ten_binary()], ids=["2", "3", "bin"])
@pytest.mark.parametrize("as_", [packed, spread])
def test_cifar_10_is_read_from_each_form_in_which_it_is_published(
    tmp_path: Path, files: dict[str, bytes], as_: Any
) -> None:
    path = as_(tmp_path / "cifar", {"cifar-10-batches-py/readme.html": b"hello", **files})
    for part, rows in {"train": slice(0, 10), "test": slice(10, 12), "all": slice(0, 12)}.items():
        images, labels, columns = datasets.load("cifar10", {"path": str(path), "part": part})
        assert np.array_equal(images, COLORS[rows])
        assert labels.tolist() == TENS[rows].tolist()
        assert columns["number"].tolist() == [*range(10), 50_000, 50_001][rows]
    if path.is_dir():  # the folder itself, as well as the one around it
        images, _ = load("cifar10", next(path.iterdir()))
        assert np.array_equal(images, COLORS[:10])


@pytest.mark.parametrize("form", ["python", "binary"])
def test_cifar_100_has_fine_and_coarse_labels(tmp_path: Path, form: str) -> None:
    fine, coarse, files = np.arange(88, 100), np.arange(12) % 20, {}
    for name, rows in {"train": slice(0, 8), "test": slice(8, 12)}.items():
        said = {"fine_labels": fine[rows].tolist(), "coarse_labels": coarse[rows].tolist()}
        both = np.stack([coarse[rows], fine[rows]], 1).astype(np.uint8)
        files |= {
            f"cifar-100-python/{name}": python2({**said, "data": planes(COLORS[rows])})
            if form == "python"
            else b"",
            f"cifar-100-binary/{name}.bin": np.hstack([both, planes(COLORS[rows])]).tobytes(),
        }
    kept = {name: content for name, content in files.items() if form in name}
    path = packed(tmp_path / "cifar.tar.gz", kept)
    for kind, labels in {"fine": fine, "coarse": coarse}.items():
        images, found = load("cifar100", path, part="all", labels=kind)
        assert np.array_equal(images, COLORS)
        assert found.tolist() == labels.tolist()


class Evil:
    def __reduce__(self) -> Any:
        return print, ("this ran",)


def fortran(value: Any) -> Any:
    return np.asfortranarray(value)


def test_a_pickle_of_plain_data_says_what_python_says() -> None:
    value = {
        "data": np.arange(600, dtype=np.uint8).reshape(2, 300),
        "turned": fortran(np.arange(6, dtype=np.uint8).reshape(2, 3)),
        "labels": [0, 255, 256, 65536, -1],
        "names": ["a", "b" * 300, "é"],
        "more": None,
        "yes": True,
    }
    found = pickles.read(python3(value), "it")
    assert found.keys() == value.keys()
    for key in ("data", "turned"):
        assert np.array_equal(found[key], value[key])
        assert found[key].dtype == np.uint8
    assert {k: found[k] for k in ("labels", "names", "more", "yes")} == {
        k: value[k] for k in ("labels", "names", "more", "yes")
    }
    ancient = python2({"data": PIXELS[0, :, :, 0], "label": "b", "labels": [1, 2]})
    theirs = pickle.loads(ancient, encoding="latin1")
    ours = pickles.read(ancient, "it")
    assert ours.keys() == theirs.keys()
    assert np.array_equal(ours["data"], theirs["data"])
    assert (ours["label"], ours["labels"]) == (theirs["label"], theirs["labels"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(python3({"a": Evil()}), "it asks for '__builtin__ print'", id="a call"),
        pytest.param(b"cos\nsystem\n(S'ls'\ntR.", "it asks for 'os system'", id="a program"),
        pytest.param(python3({"a": 1.5}), "instruction BINFLOAT", id="a float"),
        pytest.param(pickle.dumps({"a": 1}, protocol=4), "instruction FRAME", id="protocol 4"),
        pytest.param(python3([1]), "holds a list, expected a dict", id="no dict"),
        pytest.param(python3({"a": np.arange(3.0)}), "calls something", id="an array of floats"),
        pytest.param(python3({"a": np.array([None])}), "", id="an array of objects"),
        pytest.param(python3({1: 2}), "expected text as the key", id="a number as key"),
        pytest.param(python3({"a": PIXELS[0]})[:-200], "", id="cut short"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"\x80\x02.", "", id="nothing on the stack"),
        pytest.param(b"\x80\x02}K\x01b.", "", id="a state of a dict"),
        pytest.param(b"\x80\x02h\x07.", "", id="something never noted"),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_does_nothing(
    content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=rf"^batch: not a pickle of plain data .*{said}"):
        pickles.read(content, "batch")
    assert capsys.readouterr().out == ""


def test_an_array_is_never_larger_than_its_bytes() -> None:
    honest = python2({"data": PIXELS[0, :, :, 0]})
    for size in (b"M\xff\xff", b"M\x00\x00"):
        lying = honest.replace(b"M\x09\x00", size)
        assert lying != honest
        with pytest.raises(UserError, match=r"an array of shape .* has 63 bytes"):
            pickles.read(lying, "batch")


CIFARS: Any = {
    "a missing file": (lambda f: f.pop("cifar-10-batches-py/data_batch_3"), "_3 is missing"),
    "a pickle with a call": (
        lambda f: f.update({"cifar-10-batches-py/data_batch_3": python3({"a": Evil()})}),
        r"data_batch_3: not a pickle of plain data \(it asks for",
    ),
    "a label too many": (
        lambda f: f.update(
            {
                "cifar-10-batches-py/data_batch_3": python2(
                    {"labels": [1], "data": PIXELS[0, :, :, 0]}
                )
            }
        ),
        r"data_batch_3: expected `data` \(n, 3072\) and n `labels`",
    ),
    "a label of no class": (
        lambda f: f.update(
            {
                "cifar-10-batches-py/test_batch": python2(
                    {"labels": [1, 10], "data": planes(COLORS[:2])}
                )
            }
        ),
        "test_batch: expected labels from 0 to 9",
    ),
    "a file twice": (
        lambda f: f.update({"other/data_batch_1": b""}),
        r"not an archive .*data_batch_1 is in it twice",
    ),
    "too much in it": (
        lambda f: f.update({"zeros": bytes(2**20)}),
        "not an archive .*holds more bytes than it should",
    ),
}


@pytest.mark.parametrize("what", CIFARS)
def test_an_archive_of_cifar_that_is_not_as_published_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar, "LARGEST", 2**19)
    change, said = CIFARS[what]
    files = ten(python2)
    packed(tmp_path / "good.tar.gz", files)
    load("cifar10", tmp_path / "good.tar.gz", part="all")
    change(files)
    with pytest.raises(UserError, match=rf"bad\.tar\.gz.*{said}"):
        load("cifar10", packed(tmp_path / "bad.tar.gz", files), part="all")


def test_a_file_that_is_no_cifar_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "a.tar.gz"
    text.write_bytes(gzip.compress(b"no archive" * 200))
    for path in (text, tmp_path / "missing.tar.gz", tmp_path):
        with pytest.raises(UserError, match=r"dataset\.params\.path: .*" + path.name):
            load("cifar10", path)
    link = tmp_path / "link.tar.gz"
    with tarfile.open(link, "w:gz") as archive:
        member = tarfile.TarInfo("x/data_batch_1")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(member)
    with pytest.raises(UserError, match="neither cifar-10-python"):
        load("cifar10", link)


# --- other published sets ------------------------------------------------------------------------


def test_stl_10_is_turned_and_cut_to_size_without_being_read_whole(tmp_path: Path) -> None:
    whole = np.random.default_rng(2).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    parts = {"unlabeled": whole[:3], "train": whole[3:4], "test": whole[4:]}
    for name, images in parts.items():
        images.transpose(0, 3, 2, 1).tofile(tmp_path / f"{name}_X.bin")  # columns first
        np.array([7] * len(images), np.uint8).tofile(tmp_path / f"{name}_y.bin")
    for name, images in {**parts, "all": whole}.items():
        found, labels = load("stl10", tmp_path, part=name)
        assert np.array_equal(found, images)
        assert labels.tolist() == [6 if name in ("train", "test") else 0] * len(images)
    small = datasets.load("stl10", {"path": str(tmp_path)}, size=32, limit=4, filter="box")
    means = whole[:3].reshape(3, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    assert abs(small.images - means).max() <= 1
    assert small.columns["number"].tolist() == [0, 1, 2]
    (tmp_path / "train_y.bin").write_bytes(b"\x0b")
    with pytest.raises(UserError, match=r"train_y\.bin: expected 1 labels from 1 to 10"):
        load("stl10", tmp_path, part="train")
    (tmp_path / "test_X.bin").write_bytes(b"\x0b")
    with pytest.raises(UserError, match=r"test_X\.bin: expected whole images"):
        load("stl10", tmp_path, part="test")


def stl_10(path: Path, *more: tarfile.TarInfo, sparse: str = "") -> np.ndarray:
    """An archive of nine images in the published order of its files, and the images."""
    whole = np.random.default_rng(3).integers(0, 256, (9, 96, 96, 3), dtype=np.uint8)
    parts = {"test": whole[7:], "train": whole[4:7], "unlabeled": whole[:4]}
    with tarfile.open(path, "w:gz") as archive:
        for member in more:
            archive.addfile(member)
        for name, images in parts.items():
            files = {f"{name}_X.bin": images.transpose(0, 3, 2, 1).tobytes()}
            if name != "unlabeled":
                files[f"{name}_y.bin"] = bytes([3] * len(images))
            for file, content in files.items():
                member = tarfile.TarInfo(f"stl10_binary/{file}")
                member.size = len(content)
                if file == sparse:
                    member.type = tarfile.GNUTYPE_SPARSE
                archive.addfile(member, io.BytesIO(content))
    return whole


def test_stl_10_is_the_same_from_its_archive_and_its_folder(tmp_path: Path) -> None:
    whole = stl_10(tmp_path / "stl10_binary.tar.gz")
    with tarfile.open(tmp_path / "stl10_binary.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    for part in ("unlabeled", "train", "test", "all"):
        for how in ({}, {"size": 32, "limit": 2, "seed": 5}):
            packed, unpacked = (
                datasets.load("stl10", {"path": str(path), "part": part}, **how)
                for path in (tmp_path / "stl10_binary.tar.gz", tmp_path / "unpacked")
            )
            assert np.array_equal(packed.images, unpacked.images)
            assert packed.labels.tolist() == unpacked.labels.tolist()
            assert packed.columns["number"].tolist() == unpacked.columns["number"].tolist()
    images, _ = load("stl10", tmp_path / "stl10_binary.tar.gz", part="all")
    assert np.array_equal(images, whole)
    assert np.array_equal(images[[8, 0, 5]], whole[[8, 0, 5]])
    lazy = plugins.load("datasets", "stl10", {"path": str(tmp_path / "stl10_binary.tar.gz")})
    there = lazy.load()[0]
    assert not isinstance(there, np.ndarray)
    assert np.array_equal(np.stack([there[k] for k in (3, 1, 1, 2)]), whole[[3, 1, 1, 2]])


def test_an_archive_that_is_no_stl_10_is_refused_by_name(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    link = tarfile.TarInfo("stl10_binary/unlabeled_X.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    whole = stl_10(good, link)
    assert np.array_equal(load("stl10", good)[0], whole[:4])  # links are not followed
    for refuse in (good.read_bytes()[:-90_000], gzip.compress(b"no archive" * 200), b""):
        bad.write_bytes(refuse)
        with pytest.raises(UserError, match=r"dataset\.params\.path: .*bad\.tar\.gz"):
            load("stl10", bad)
    stl_10(bad, sparse="unlabeled_X.bin")  # whose size says nothing of its bytes
    with pytest.raises(UserError, match=r"bad\.tar\.gz"):
        load("stl10", bad)


def test_no_more_is_unpacked_of_stl_10_than_there_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stl_10(tmp_path / "large.tar.gz")
    monkeypatch.setattr("leakboard.stl.LARGEST", 2**16)
    with pytest.raises(UserError, match="holds more bytes than it should"):
        load("stl10", tmp_path / "large.tar.gz")


def jpeg(color: int) -> bytes:
    file = io.BytesIO()
    Image.new("L" if color % 2 else "RGB", (64, 64), color if color % 2 else (color,) * 3).save(
        file, "JPEG"
    )
    return file.getvalue()


def test_tiny_imagenet_is_the_same_from_its_archive_and_its_folder(tmp_path: Path) -> None:
    train = ["n02/images/n02_0", "n02/images/n02_10", "n02/images/n02_2", "n11/images/n11_1"]
    files = {f"train/{name}.JPEG": jpeg(40 * k) for k, name in enumerate(train)}
    files |= {f"val/images/val_{k}.JPEG": jpeg(200 + k) for k in range(2)}
    files["val/val_annotations.txt"] = b"val_0.JPEG\tn11\t0\t0\t1\t1\nval_1.JPEG\tn02\t0\t0\t1\t1\n"
    files["train/n02/n02_boxes.txt"] = b""
    below = {f"tiny-imagenet-200/{name}": content for name, content in files.items()}
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for name, content in reversed(below.items()):
            archive.writestr(name, content)
    spread(tmp_path / "tiny", below)
    for path in (tmp_path / "tiny.zip", tmp_path / "tiny", tmp_path / "tiny/tiny-imagenet-200"):
        images, labels, columns = datasets.load("tiny-imagenet", {"path": str(path), "part": "all"})
        assert images.shape == (6, 64, 64, 3)
        assert images[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 200, 201]  # in the order of text
        assert labels.tolist() == [0, 0, 0, 1, 1, 0]
        assert columns["number"].tolist() == [0, 1, 2, 3, 100_000, 100_001]
        assert len(load("tiny-imagenet", path)[0]) == 4
        assert load("tiny-imagenet", path, part="val")[1].tolist() == [1, 0]
    (tmp_path / "tiny/tiny-imagenet-200/val/val_annotations.txt").write_text("val_0.JPEG n99\n")
    with pytest.raises(UserError, match=r"no class of val/images/val_0\.JPEG"):
        load("tiny-imagenet", tmp_path / "tiny", part="val")
    with pytest.raises(UserError, match=r"neither tiny-imagenet-200\.zip nor its folder"):
        load("tiny-imagenet", tmp_path / "none.zip")


def test_a_damaged_image_of_tiny_imagenet_is_named(tmp_path: Path) -> None:
    picture, path = jpeg(40), tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny-imagenet-200/train/n02/images/n02_0.JPEG", picture)
    content = path.read_bytes()
    middle = content.index(picture) + len(picture) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    with pytest.raises(UserError, match=r"n02_0\.JPEG: cannot be unpacked \(Bad CRC"):
        load("tiny-imagenet", path)


def test_celeba_has_persons_attributes_and_parts_as_labels_say(tmp_path: Path) -> None:
    for k in range(1, 5):
        Image.new("RGB", (178, 218), (40 * k, 0, 0)).save(tmp_path / f"{k:06}.jpg")
    tables = {
        "part.txt": "".join(f"{k:06}.jpg {k % 3}\n" for k in range(1, 6)),
        "who.txt": "".join(f"{k:06}.jpg {k * 1000}\n" for k in range(1, 6)),
        "what.txt": "5\nSmiling  Young\n"
        + "".join(f"{k:06}.jpg -1 {1 if k % 2 else -1:2}\n" for k in range(1, 6)),
    }
    where = {name: str(tmp_path / name) for name in tables}
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    how = {"path": str(tmp_path)}
    images, labels, columns = datasets.load("celeba", how, crop=140, size=8)
    assert images.shape == (4, 8, 8, 3)
    assert labels.tolist() == [0, 0, 0, 0]
    assert columns["number"].tolist() == [1, 2, 3, 4]
    young = {**how, "attributes": where["what.txt"], "attribute": "Young"}
    assert datasets.load("celeba", young).labels.tolist() == [1, 0, 1, 0]
    valid = {**how, "identity": where["who.txt"], "part": "valid", "partition": where["part.txt"]}
    found = datasets.load("celeba", valid)
    assert found.labels.tolist() == [1000, 4000]
    assert found.columns["file"].tolist() == ["000001.jpg", "000004.jpg"]
    for params, said in (
        ({"part": "test"}, "partition: missing"),
        ({"attributes": where["what.txt"], "attribute": "Yuong"}, "'Yuong'.*Smiling, Young"),
        ({"identity": where["part.txt"], "attribute": "Young"}, "two labels"),
        ({"path": str(tmp_path / "none")}, r"no \*\.jpg"),
    ):
        with pytest.raises(UserError, match=said):
            datasets.load("celeba", {**how, **params})


def test_lsun_is_read_from_a_folder_of_its_pictures(tmp_path: Path) -> None:
    for k, size in enumerate([(300, 256), (256, 400)]):
        (tmp_path / "a/b").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90 * k, 0, 0)).save(tmp_path / f"a/b/{k}.webp", lossless=True)
    images, labels, columns = datasets.load("lsun", {"path": str(tmp_path)}, crop="square", size=16)
    assert images[:, 0, 0, 0].tolist() == [0, 90]
    assert images.shape == (2, 16, 16, 3)
    assert labels.tolist() == [0, 0]
    assert columns["file"].tolist() == ["a/b/0.webp", "a/b/1.webp"]


def test_lsun_s_database_is_read_in_the_order_of_its_keys(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path), map_size=2**20) as store, store.begin(write=True) as writing:
        for key, color in ((b"b", 100), (b"a", 200)):
            writing.put(key, jpeg(color))
    images, _, columns = datasets.load("lsun", {"path": str(tmp_path)})
    assert images[:, 0, 0, 0].tolist() == [200, 100]
    assert columns["file"].tolist() == ["a", "b"]


def test_a_package_that_is_not_there_is_named_with_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lmdb", "datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "data.mdb").write_bytes(b"")
    with pytest.raises(UserError, match="`pip install lmdb`"):
        load("lsun", tmp_path)
    with pytest.raises(UserError, match="`pip install 'datasets>=4'`"):
        datasets.load("huggingface", {"id": "owner/name"})
    with pytest.raises(UserError, match="either `id` or `path`"):
        datasets.load("huggingface", {})


def test_a_hugging_face_folder_is_read_with_its_labels(tmp_path: Path) -> None:
    pytest.importorskip("datasets", minversion="4")
    images, labels, _ = datasets.load(
        "huggingface", {"path": str(folder(tmp_path)), "label": "label"}
    )
    assert np.array_equal(images, PIXELS)
    assert labels.tolist() == [0, 0, 1, 1, 1, 1]
