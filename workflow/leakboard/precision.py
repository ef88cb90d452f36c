"""How networks are asked: in which precision, memory format, and as many images as there is room.

fp32 is IEEE single precision, on a GPU too: TensorFloat-32 is off unless it is asked for by name.
In bf16 and fp16 the network is of that type, but for the layers that its answer comes out of: they,
and so the answer, are float32. What is the difference of two answers (SecMI's error, say) may be
far smaller than the rounding of either: inside `exactly`, a network answers in fp32 in any case.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from leakboard import allocator
from leakboard.errors import UserError
from leakboard.room import Room
from leakboard.settings import layout

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
LAST = ("conv_norm_out", "conv_out")  # of diffusers' U-Nets
_exact: ContextVar[bool] = ContextVar("exact", default=False)


@contextmanager
def exactly() -> Iterator[None]:
    """Inside, networks answer in fp32: for answers that are compared with one another."""
    before = _exact.set(True)
    try:
        yield
    finally:
        _exact.reset(before)


@contextmanager
def tensor_float(allowed: bool) -> Iterator[None]:
    """Inside, a GPU may round the factors of fp32 products to 10 bits (TensorFloat-32), or not."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def learning(precision: str, device: torch.device) -> Iterator[AbstractContextManager[Any]]:
    """A step of a training, with the context that its loss is computed in: mixed precision or not.

    In bf16 products alone are rounded; weights, sums and norms stay float32 (autocast).
    """
    with tensor_float(precision == "tf32"):
        yield torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


class Asked:
    """A network (in evaluation mode, on its device) as it is asked, with the network's `config`.

    In fp32, with the default layout and room enough, it is the network itself, to the bit. Raises
    UserError for fp16 on a CPU, which has no units for it.
    """

    def __init__(self, net: Any, precision: str = "fp32") -> None:
        allocator.keep()
        device = next(net.parameters()).device
        if precision == "fp16" and device.type == "cpu":
            raise UserError("precision: fp16 needs a GPU; set it to bf16, or leave it out")
        self.config, self.type, self.tf32 = net.config, TYPES.get(precision), precision == "tf32"
        self.room = Room()
        low = _lowered(net, self.type) if self.type else net
        self.low = _laid_out(low)
        self.exact = _laid_out(net) if self.type else self.low

    def __call__(self, x: Tensor, t: Tensor, **more: Tensor) -> Any:
        """What the network answers about x (b, c, h, w) at levels t () or (b,), in float32."""

        def part(rows: slice) -> Any:
            some = {name: value[rows] for name, value in more.items()}
            return self._once(x[rows], t[rows] if t.dim() else t, some)

        parts = self.room(part, len(x))
        return parts[0] if len(parts) == 1 else _answer(parts[0], torch.cat([*map(_found, parts)]))

    def _once(self, x: Tensor, t: Tensor, more: dict[str, Tensor]) -> Any:
        exact = self.type is None or _exact.get()
        if layout("compile") == "cuda-graphs":
            torch.compiler.cudagraph_mark_step_begin()
        with tensor_float(self.tf32 and not _exact.get()):
            if exact:
                answer = self.exact(x, t, **more)
            else:
                answer = self.low(x.to(self.type), t, **more)
        found = _found(answer)
        if layout("compile") == "cuda-graphs":
            found = found.clone()  # the next answer is written where this one is
        return _answer(answer, found.float())


def _lowered(net: Any, kind: torch.dtype) -> Any:
    """A copy of the network in a lower precision, but for its LAST layers."""
    low = nn.Module.to(copy.deepcopy(net), dtype=kind)
    for name in LAST:
        if (layer := getattr(low, name, None)) is not None:
            layer.float().load_state_dict(getattr(net, name).state_dict())
            layer.register_forward_pre_hook(lambda _, given: tuple(x.float() for x in given))
    return low


def _laid_out(net: Any) -> Any:
    """The network as the layout settings say."""
    if layout("memory_format") == "channels-last":
        net = copy.deepcopy(net)  # whoever handed it over keeps it as it is
        nn.Module.to(net, memory_format=torch.channels_last)  # type: ignore[call-overload]
    how = layout("compile")
    if how == "no":
        return net
    if how == "cuda-graphs":
        return torch.compile(net, mode="reduce-overhead")
    # Frozen, a CPU lays the weights out for its units once, and not at every call.
    cpu = next(net.parameters()).device.type == "cpu"
    return torch.compile(net, options={"freezing": cpu})


def _found(answer: Any) -> Tensor:
    """The tensor that a network hands out, as it is or in something of diffusers'."""
    return getattr(answer, "sample", answer)


def _answer(like: Any, found: Tensor) -> Any:
    """The tensor in what the network would have handed it out in."""
    return type(like)(sample=found) if hasattr(like, "sample") else found
