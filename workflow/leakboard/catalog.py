"""The assets that have names: what `leakboard assets fetch` knows, as assets.yaml lists it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import Field

from leakboard.strict import Strict


class File(Strict):
    """One file of an asset, as far as it is known beforehand."""

    bytes: int | None = Field(None, ge=1)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")


class Asset(Strict):
    """A file, or a folder of files, from a publisher."""

    name: str
    what: str
    terms: str
    urls: list[str] = Field(min_length=1)
    file: str = ""
    files: dict[str, File]  # path inside the asset, "" if it is one file

    @property
    def pinned(self) -> bool:
        """Whether the content of every file is known beforehand."""
        return all(file.sha256 for file in self.files.values())

    @property
    def size(self) -> int | None:
        """Bytes of all its files, where they are known."""
        sizes = [file.bytes for file in self.files.values()]
        return None if None in sizes else sum(filter(None, sizes))

    def addresses(self, name: str) -> list[str]:
        """Where one of its files can be fetched from."""
        return [f"{url.rstrip('/')}/{name}" if name else url for url in self.urls]


@cache
def known() -> dict[str, Asset]:
    """name -> asset."""
    path = Path(__file__).with_name("assets.yaml")
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: parse(name, content) for name, content in said.items()}


def parse(name: str, content: dict[str, object]) -> Asset:
    """An asset as assets.yaml writes it: a single file's bytes and hashes stand beside its name."""
    own = {key: content[key] for key in File.model_fields if key in content}
    rest = {key: value for key, value in content.items() if key not in own}
    return Asset.model_validate({"name": name, "files": {"": own}, **rest})
