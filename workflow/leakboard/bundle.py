"""`leakboard bundle`: a finished board as one file for another machine, where `merge` opens it.

In it: `results/`, every file that the tables rest on, as far as it may leave the machine; `config/`
as it is now (what was resolved from it is in every record); and a manifest of all that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from leakboard import archives, boards
from leakboard.artefacts import json_text
from leakboard.digests import digest
from leakboard.errors import UserError

KIND = "leakboard bundle 1"
PICTURES = ("samples", "features", "figures")  # folders of a track; pixels are features, too
PAGE = f"{boards.RESULTS}/leaderboard.html"


def main(results: Path, to: Path, tracks: Sequence[str] = (), pictures: bool = False) -> None:
    """Pack some tracks of a results folder, all if none is named, into a new file.

    `pictures`: with all that shows a picture, drawn or real, or from which one could be had: the
    subset's images, samples, features, figures, the page. Without them, `left-out.json` of a track
    names them. Raises UserError where a board is not finished, or a file is not what it says.
    """
    if to.exists():
        raise UserError(f"{to}: is there already; name a file that is not")
    known = boards.tracks(results)
    for name in tracks:
        if name not in known:
            raise UserError(f"{results}: no track '{name}' in it; known: {', '.join(known)}")
    files: dict[str, Path | bytes] = {}
    digests = {}
    for name in sorted(tracks or known):
        source = boards.Source(results, name)
        files |= _files(source, pictures)
        digests[name] = {stage: digest(made["spec"]) for stage, made in source.records.items()}
    if PAGE in files and digests.keys() != set(known):
        del files[PAGE]  # it shows the other tracks, too
    config = results.resolve().parent / "config"
    files |= {f"config/{f.relative_to(config).as_posix()}": f for f in config.rglob("*.yaml")}
    said = {"kind": KIND, "leakboard": metadata.version("leakboard"), "pictures": pictures}
    size = archives.pack(to, files, {**said, "digests": digests})
    print(
        f"{to}: {', '.join(digests)}: {len(files):,} files, {size:,} bytes, "
        f"{'with' if pictures else 'without'} pictures; `leakboard merge {to} --to FOLDER` opens it"
    )


def _files(source: boards.Source, pictures: bool) -> dict[str, Path | bytes]:
    """Recorded path -> where it is, of what is packed of a track."""
    outputs = {path for record in source.records.values() for path in record["outputs"].values()}
    hashes = source.leaves()
    for record in source.records.values():
        pairs = [pair for some in record["inputs"].values() for pair in some]
        hashes |= {path: found for path, found in pairs if path in outputs}
    stages = [f"{boards.RESULTS}/{source.track}/records/{stage}.json" for stage in source.records]
    paths = {*hashes, *outputs, *source.cells, *stages}
    kept = {path for path in paths if pictures or not shows(path)} - source.left_out.keys()
    if not pictures:
        kept.discard(f"{boards.RESULTS}/{source.track}/records/figures.json")
    found: dict[str, Path | bytes] = {}
    for path in kept:
        found[path] = source.whole(path, hashes[path]) if path in hashes else source.at(path)
        if not source.at(path).is_file():
            raise UserError(f"{source.at(path)}: missing; see `leakboard verify --root {source}`")
    left = {path: hashes[path] for path in sorted(hashes.keys() - kept)}
    if left:
        found[f"{boards.RESULTS}/{source.track}/{boards.LEFT_OUT}"] = json_text(left).encode()
    return found


def shows(path: str) -> bool:
    """Whether a result shows pictures, or is made of their features."""
    parts = PurePosixPath(path).parts
    return path == PAGE or parts[2] in PICTURES or parts[2:] == ("subset", "images.npz")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The results folder of a bundle, while the block runs; of a folder, itself."""
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise UserError(f"{path}: not there; expected a results folder or a bundle")
    with TemporaryDirectory(prefix="leakboard-") as folder:
        said: dict[str, Any] = archives.unpack(path, Path(folder))
        results = Path(folder, boards.RESULTS)
        if said.get("kind") != KIND or not results.is_dir():
            raise UserError(f"{path}: not a bundle of boards ({KIND}), as `leakboard bundle` makes")
        shutil.rmtree(Path(folder, "config"), ignore_errors=True)
        yield results
