"""Named assets: fetched from a server that breaks, lies or is not there, and kept as they were."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from leakboard import assets, catalog, downloads, stocking
from leakboard.errors import UserError

CONTENT = bytes(i * 7 % 251 for i in range(300_000))
OTHER = CONTENT[:-1] + b"!"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Server:
    """Files by path over HTTP; what was asked for, and the header `Range` of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)  # path -> bytes sent before each break
    ranges: bool = True
    tags: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *args: object) -> None:
        self.kept = server
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        kept, name = self.kept, self.path
        asked = self.headers.get("Range")
        kept.asked.append((name, asked))
        content = kept.files.get(name)
        if content is None:
            self.send_error(404)
            return
        tag = f'"{sha(content)[:8]}"'
        start = 0
        if asked and kept.ranges and self.headers.get("If-Range", tag) == tag:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        if kept.tags:
            self.send_header("ETag", tag)
        self.end_headers()
        part = content[start : start + kept.breaks.get(name, len(content))]
        self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    kept = Server()
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, kept))
    kept.url = f"http://127.0.0.1:{web.server_port}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield kept
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, and no other to look into."""
    monkeypatch.setenv(assets.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Assets of our own in place of the shipped ones: name=what assets.yaml would say."""

    def known(**said: dict[str, object]) -> None:
        plain = {"what": "a toy", "terms": "free"}
        every = {name: catalog.parse(name, {**plain, **about}) for name, about in said.items()}
        monkeypatch.setattr(catalog, "known", lambda: every)

    return known


PINNED = {"bytes": len(CONTENT), "sha256": sha(CONTENT), "md5": hashlib.md5(CONTENT).hexdigest()}


def test_an_asset_is_fetched_once_and_read_by_its_name(
    server: Server, know: Callable[..., None], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    with pytest.raises(UserError, match=r"'toy' is not here yet; run `leakboard assets fetch toy`"):
        assets.verified("toy")
    assert assets.fingerprint("toy") == sha(CONTENT)  # known before it is here
    server.files["/toy"] = CONTENT
    stocking.fetch(["toy"])
    assert assets.verified("toy").read_bytes() == CONTENT
    assert assets.place("toy") == cache / "assets" / sha(CONTENT)
    stocking.fetch(["toy"])
    assert server.asked == [("/toy", None)]
    assert "toy: is here already" in capsys.readouterr().out
    assert not (cache / "downloads").exists() or not list((cache / "downloads").iterdir())


def test_a_broken_transfer_goes_on_where_it_broke_off(
    server: Server, know: Callable[..., None]
) -> None:
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    server.files["/toy"], server.breaks["/toy"] = CONTENT, 100_000
    stocking.fetch(["toy"])
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert assets.verified("toy").read_bytes() == CONTENT


def test_what_came_before_a_break_serves_the_next_call(
    server: Server, know: Callable[..., None], cache: Path
) -> None:
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    server.files["/toy"], server.breaks["/toy"] = CONTENT, 30_000  # too slow for one call
    with pytest.raises(UserError, match=r"150,000 bytes are kept, fetch again:\n.*broke off after"):
        stocking.fetch(["toy"])
    assert not assets.place("toy").exists()
    server.breaks.clear()
    stocking.fetch(["toy"])
    assert server.asked[-1] == ("/toy", "bytes=150000-")
    assert assets.verified("toy").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server: Server, know: Callable[..., None]) -> None:
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    server.files["/toy"], server.breaks["/toy"], server.ranges = CONTENT, 100_000, False
    with pytest.raises(UserError, match="broke off after 100,000 of 300,000"):
        stocking.fetch(["toy"])
    server.breaks.clear()
    stocking.fetch(["toy"])
    assert assets.verified("toy").read_bytes() == CONTENT


def test_a_second_mirror_serves_where_the_first_is_gone_or_sends_another_file(
    server: Server, know: Callable[..., None]
) -> None:
    server.files |= {"/page": b"<html>sign in", "/forged": OTHER, "/toy": CONTENT}
    gone = [f"{server.url}/{name}" for name in ("nowhere", "page", "forged", "toy")]
    know(toy={"urls": ["http://127.0.0.1:9/toy", *gone], **PINNED})
    stocking.fetch(["toy"])
    assert [name for name, _ in server.asked] == ["/nowhere", "/page", "/forged", "/toy"]
    assert assets.verified("toy").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_with_both_and_nothing_is_kept(
    server: Server, know: Callable[..., None], cache: Path
) -> None:
    server.files["/toy"] = OTHER
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    wanted = f"/toy: its SHA-256 is {sha(OTHER)}, expected {sha(CONTENT)}"
    with pytest.raises(UserError, match=wanted):
        stocking.fetch(["toy"])
    assert not assets.place("toy").exists()
    assert not list(cache.rglob("*.part"))
    know(toy={"urls": [f"{server.url}/toy"], "md5": PINNED["md5"]})
    with pytest.raises(UserError, match=f"its MD5 is {hashlib.md5(OTHER).hexdigest()}, expected"):
        stocking.fetch(["toy"])
    server.files["/toy"] = CONTENT + b"more"
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    with pytest.raises(UserError, match="has 300,004 bytes, expected 300,000: another file"):
        stocking.fetch(["toy"])


def test_an_unknown_hash_is_recorded_at_the_first_download_and_compared_later(
    server: Server,
    know: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.files["/toy"] = CONTENT
    know(toy={"urls": [f"{server.url}/toy"], "sha256": None})
    with pytest.raises(UserError, match="assets fetch toy"):
        assets.fingerprint("toy")
    stocking.fetch(["toy"])
    assert f"recorded SHA-256 {sha(CONTENT)}" in capsys.readouterr().out
    assert assets.fingerprint("toy") == sha(CONTENT)
    assert stocking.verify([]) == 0
    assert capsys.readouterr().out == "toy: as recorded\n"
    copy = assets.place("toy")
    copy.chmod(0o644)
    copy.write_bytes(OTHER)
    assert stocking.verify(["toy"]) == 1
    assert "WRONG" in capsys.readouterr().out
    with pytest.raises(UserError, match="not what toy was; remove it and run `leakboard assets"):
        assets.verified("toy")


@pytest.mark.parametrize("tags", [True, False])
def test_two_versions_of_an_unknown_file_never_become_one(
    server: Server, know: Callable[..., None], tags: bool
) -> None:
    know(toy={"urls": [f"{server.url}/toy"], "sha256": None})
    server.files["/toy"], server.breaks["/toy"], server.tags = CONTENT, 30_000, tags
    with pytest.raises(UserError, match="broke off"):
        stocking.fetch(["toy"])
    server.breaks.clear()
    server.files["/toy"] = bytes(reversed(CONTENT))
    stocking.fetch(["toy"])
    assert assets.verified("toy").read_bytes() == bytes(reversed(CONTENT))


def test_a_folder_comes_whole_or_not_at_all_and_keeps_what_it_has(
    server: Server, know: Callable[..., None]
) -> None:
    files = {"config.json": {"sha256": sha(b"{}")}, "unet/weights": {"sha256": None}}
    know(toy={"urls": [f"{server.url}/resolve/main"], "files": files})
    server.files["/resolve/main/config.json"] = b"{}"
    with pytest.raises(UserError, match=r"toy unet/weights: cannot be fetched.*\n.*404"):
        stocking.fetch(["toy"])
    assert not assets.place("toy").exists()
    server.files["/resolve/main/unet/weights"] = CONTENT
    stocking.fetch(["toy"])
    assert [name for name, _ in server.asked].count("/resolve/main/config.json") == 1
    folder = assets.verified("toy")
    assert (folder / "unet/weights").read_bytes() == CONTENT
    assert sorted(f.name for f in folder.rglob("*") if f.is_file()) == ["config.json", "weights"]


def test_a_users_own_copy_is_taken_where_it_is_the_known_file(
    server: Server, know: Callable[..., None], tmp_path: Path
) -> None:
    know(toy={"urls": [f"{server.url}/toy"], **PINNED})
    (tmp_path / "mine").write_bytes(OTHER)
    with pytest.raises(UserError, match=f"mine: is not toy: its SHA-256 is {sha(OTHER)}"):
        stocking.fetch(["toy"], tmp_path / "mine")
    (tmp_path / "mine").write_bytes(CONTENT)
    stocking.fetch(["toy"], tmp_path / "mine")
    assert assets.verified("toy").read_bytes() == CONTENT
    assert server.asked == []
    # an archive carries it to a machine without internet, and may not claim its name
    stocking.export(["toy"], tmp_path / "toy.tar")
    know(toy={"urls": [f"{server.url}/toy"], "sha256": sha(OTHER)})
    with pytest.raises(UserError, match=f"toy: its file has SHA-256 {sha(CONTENT)}, expected"):
        stocking.import_(tmp_path / "toy.tar")
    with pytest.raises(UserError, match="expected"):
        assets.place("toy")


def test_a_model_in_the_hugging_face_cache_is_found_by_its_name(tmp_path: Path) -> None:
    repo = tmp_path / "hub/models--somebody--model"
    (repo / "snapshots/abc").mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text("abc\n")
    assert assets.place("somebody/model") == repo / "snapshots/abc"
    assert assets.lacking("somebody/model") is None
    (repo / "refs/main").write_text("../..")
    assert "is not there" in str(assets.lacking("somebody/model"))


def test_two_processes_do_not_fetch_the_same_file(
    server: Server, know: Callable[..., None], tmp_path: Path
) -> None:
    part = tmp_path / "toy.part"
    with (
        downloads._alone(part, "toy"),
        pytest.raises(UserError, match="by another process"),
        downloads._alone(part, "toy"),
    ):
        pass


def test_the_shipped_list_can_be_read_and_no_name_is_a_way_out() -> None:
    assert len(catalog.known()) > 10
    for name, asset in catalog.known().items():
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)
        assert asset.terms
        assert all(re.match("https?://", url) for url in asset.urls)
        for file in asset.files:
            assert not Path(file).is_absolute()
            assert ".." not in Path(file).parts


def test_the_command_line_lists_what_it_knows_and_guesses_what_was_meant(tmp_path: Path) -> None:
    def leakboard(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "leakboard.cli", "assets", *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    listed = leakboard("list", "--known")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*catalog.known()]
    wrong = leakboard("fetch", "sscd-disc-mixup")
    assert wrong.returncode == 1
    assert "no asset 'sscd-disc-mixup'; did you mean 'sscd_disc_mixup'?" in wrong.stderr
    assert leakboard("verify").returncode == 0
    assert "is not here yet" in leakboard("verify", "cifar10-binary").stdout
