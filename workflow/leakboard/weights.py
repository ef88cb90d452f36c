"""Weights of networks from elsewhere: read as data, or as code that somebody vouches for."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leakboard import assets, networks
from leakboard.errors import UserError
from leakboard.files import sha256

Tensors = dict[str, Tensor]


def checked(name: str, expected: str) -> Path:
    """Where the file of a path or an asset is; UserError unless it is as when the run began."""
    path = assets.verified(name)
    if not path.is_file():
        raise UserError(assets.lacking(name) or f"{path}: is a folder, expected a file of weights")
    if (found := sha256(path)) != expected:
        raise UserError(f"{path}: SHA-256 {found}, and {expected} when the run began; run again")
    return path


def tensors(path: Path, name: str = "", trusted: str = "") -> Tensors:
    """The tensors of a network: of safetensors, of PyTorch's files, or of a TorchScript archive.

    PyTorch's files are unpickled by its reader that makes tensors and nothing else. TorchScript is
    code: it needs trust, as in `script`.
    """
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" and _is_script(path):
        return dict(script(path, name, trusted).state_dict())
    if start not in (b"PK", b"\x80\x02"):
        return networks.read_weights(path)[0]
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its reader raises whatever the content makes it raise
        raise UserError(f"{path}: holds more than weights, or less: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"{path}: expected a dictionary of tensors, as of `net.state_dict()`")
    return found


def script(path: Path, name: str, trusted: str = "") -> Any:
    """The network of a TorchScript file, in evaluation mode.

    TorchScript is code. It runs only where its content is known: `name` is an asset that is listed
    with its hash, or `trusted`, from the configuration, is the hash of the file. Else UserError.
    """
    data = path.read_bytes()
    vouched(name, hashlib.sha256(data).hexdigest(), trusted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            net = torch.jit.load(io.BytesIO(data), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: is no TorchScript network: {error}") from error
    for each in net.parameters():
        each.requires_grad_(False)
    return net.eval()


def vouched(name: str, found: str, trusted: str) -> None:
    """UserError unless TorchScript of this SHA-256 may run; see `script`."""
    if problem := assets.distrusted(name, found, trusted):
        raise UserError(problem)


def fill(net: nn.Module, state: Tensors, path: Path, spare: tuple[str, ...] = ()) -> Any:
    """The network with these weights in place of its own; `spare` ones may be left over.

    Raises UserError naming the first tensors that do not fit.
    """
    own = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    given = {key: value for key, value in state.items() if not key.startswith(spare or ("\0",))}
    theirs = {key: tuple(value.shape) for key, value in given.items()}
    counters = {key for key in own.keys() ^ theirs.keys() if key.endswith("num_batches_tracked")}
    wrong = sorted(
        k for k in (own.keys() | theirs.keys()) - counters if own.get(k) != theirs.get(k)
    )
    if wrong:
        shown = ", ".join(f"{k} ({theirs.get(k)} there, {own.get(k)} expected)" for k in wrong[:3])
        raise UserError(f"{path}: weights of another network: {shown}; {len(wrong)} tensors differ")
    found = {key: value.contiguous() for key, value in given.items() if key in own}
    net.load_state_dict(found, strict=False, assign=True)
    return net.float().eval().requires_grad_(False)


def _is_script(path: Path) -> bool:
    """Whether a zip archive holds code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in f"/{name}" for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: cut short or damaged ({error}); fetch it again") from error
