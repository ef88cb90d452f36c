"""Archives: what was packed comes out, and nothing else, whoever made the file."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leakboard import archives
from leakboard.errors import UserError

FILES: dict[str, Path | bytes] = {"results/b.txt": b"two", "results/a/a.txt": b"one", "c": b""}


def plain(name: str, content: bytes = b"one") -> tuple[tarfile.TarInfo, bytes]:
    """A member as it should be."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """A member that leads to another file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member, b""


def odd(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """A member that is a device, a pipe or a folder."""
    member = tarfile.TarInfo(name)
    member.type = kind
    return member, b""


def listed(name: str, content: bytes = b"one") -> dict[str, list[object]]:
    """What a manifest says of a file."""
    return {name: [len(content), hashlib.sha256(content).hexdigest()]}


def forged(
    path: Path, files: object, *members: tuple[tarfile.TarInfo, bytes], first: str = "manifest.json"
) -> Path:
    """An archive with this manifest and these members."""
    manifest = json.dumps({"files": files}).encode()
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for member, content in [plain(first, manifest), *members]:
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where an archive is unpacked; nothing may be written beside it."""
    (tmp_path / "there/folder").mkdir(parents=True)
    yield tmp_path / "there/folder"
    assert [f.name for f in (tmp_path / "there").iterdir()] == ["folder"]
    assert not Path("/tmp/leakboard-was-here").exists()


def test_what_was_packed_comes_out_and_equal_content_gives_equal_bytes(
    tmp_path: Path, folder: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"two")
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    assert archives.pack(one, FILES, {"kind": "toy"}) == one.stat().st_size
    archives.pack(two, {**dict(reversed(FILES.items())), "results/b.txt": file}, {"kind": "toy"})
    assert one.read_bytes() == two.read_bytes()
    assert archives.unpack(one, folder)["kind"] == "toy"
    found = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    assert {name: f.read_bytes() for name, f in found.items()} == FILES
    with tarfile.open(one) as archive:  # any tar opens it
        assert archive.getnames() == ["manifest.json", "c", "results/a/a.txt", "results/b.txt"]
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in archive} == {(0, 0, 0, "")}


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a path above the folder": (
        lambda p: forged(p, listed("../up"), plain("../up")),
        r"'\.\./up' is no path of a file below a folder",
    ),
    "an absolute path": (
        lambda p: forged(p, listed("/tmp/leakboard-was-here"), plain("/tmp/leakboard-was-here")),
        "'/tmp/leakboard-was-here' is no path",
    ),
    "a way round": (lambda p: forged(p, listed("a/../../b")), "is no path"),
    "a file that the manifest does not name": (
        lambda p: forged(p, listed("a"), plain("a"), plain("b")),
        "'b' is not in its manifest",
    ),
    "a file that is there twice": (
        lambda p: forged(p, listed("a"), plain("a"), plain("a")),
        "'a' is twice",
    ),
    "a file that is missing": (
        lambda p: forged(p, listed("a") | listed("b"), plain("a")),
        "'b' is missing",
    ),
    "other content": (
        lambda p: forged(p, listed("a"), plain("a", b"two")),
        r"'a' is not what the manifest says \(SHA-256\)",
    ),
    "more content than is said": (
        lambda p: forged(p, listed("a"), plain("a", b"one and more")),
        "'a' has 12 bytes, the manifest says 3",
    ),
    "a symbolic link": (
        lambda p: forged(p, listed("a"), link("a", "/etc/passwd")),
        "'a' is no plain file",
    ),
    "a hard link": (
        lambda p: forged(p, listed("a"), link("a", "manifest.json", tarfile.LNKTYPE)),
        "'a' is no plain file",
    ),
    "a device": (lambda p: forged(p, listed("a"), odd("a", tarfile.CHRTYPE)), "is no plain file"),
    "a pipe": (lambda p: forged(p, listed("a"), odd("a", tarfile.FIFOTYPE)), "is no plain file"),
    "a folder": (lambda p: forged(p, listed("a"), odd("a", tarfile.DIRTYPE)), "is no plain file"),
    "a file below a file": (
        lambda p: forged(p, listed("a") | listed("a/b"), plain("a"), plain("a/b")),
        "cannot be unpacked",
    ),
    "no manifest": (
        lambda p: forged(p, {}, first="results/a"),
        "does not begin with a manifest.json",
    ),
    "a manifest of something else": (lambda p: forged(p, ["a"]), "lists no files"),
    "a manifest without sizes": (lambda p: forged(p, {"a": "x"}), "says no size and hash of 'a'"),
    "a size below nothing": (lambda p: forged(p, {"a": [-1, "x"]}), "says no size and hash"),
    "more than the disk holds": (
        lambda p: forged(p, {"a": [2**60, "x"]}),
        r"holds 1,152,921,504,606,846,976 bytes, and .* has .* left",
    ),
    "a file cut short": (
        lambda p: (p.write_bytes(forged(p, listed("a"), plain("a")).read_bytes()[:-20]), p)[1],
        "cannot be unpacked",
    ),
    "no archive at all": (lambda p: (p.write_text("hello"), p)[1], "cannot be unpacked"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_with_one_message(
    what: str, tmp_path: Path, folder: Path
) -> None:
    make, said = HOSTILE[what]
    path = make(tmp_path / "hostile.tar.gz")
    with pytest.raises(UserError, match=said) as refused:
        archives.unpack(path, folder)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["manifest", "header", "after"])
def test_what_unpacks_to_more_than_it_says_is_not_unpacked(
    place: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LARGEST", 2**20)
    path, zeros = tmp_path / "bomb.tar.gz", bytes(8 * 2**20)
    if place == "manifest":
        forged(path, {}, plain("a"), first="manifest.json")
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w") as archive:
            archive.addfile(plain("manifest.json", zeros)[0], io.BytesIO(zeros))
        path.write_bytes(gzip.compress(inner.getvalue()))
    elif place == "header":
        member, content = plain("a")
        member.pax_headers = {"comment": "x" * len(zeros)}
        forged(path, listed("a"), (member, content))
    else:
        forged(path, listed("a"), plain("a"), plain("b", zeros))
    assert path.stat().st_size < 2**17
    read = []
    real = archives.Bounded.read

    def counted(self: archives.Bounded, size: int) -> bytes:
        data = real(self, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(archives.Bounded, "read", counted)
    with pytest.raises(UserError, match=re.escape(str(path))):
        archives.unpack(path, folder)
    assert sum(read) < 2 * 2**20
