"""The encoder with a sense of time: SIDE's student, a classifier of noised images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from leakboard.encoder import Encoder
from leakboard.lean import TimestepEmbedding, Timesteps


class TimedEncoder(Encoder):
    """An `Encoder` with one time module in each block, right after its first normalization.

    SIDE, appendix C: the module adds a learned function of the noise level to each channel. The
    rest is the teacher's architecture (with GroupNorm where the paper has BatchNorm: an image's
    logits never depend on its batch mates).
    """

    def __init__(
        self,
        sample_size: int = 32,
        in_channels: int = 3,
        outputs: int = 10,
        width: int = 32,
        dim: int = 64,
    ) -> None:
        super().__init__(sample_size, in_channels, outputs, width, dim)
        hidden = 4 * width
        self.time_proj = Timesteps(2 * width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(2 * width, hidden)
        self.time_modules = nn.ModuleList(
            nn.Linear(hidden, block.norm1.num_channels) for block in self.blocks
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:  # type: ignore[override]
        """x (b, c, h, w), t () or (b,) long -> logits (b, outputs)."""
        t = t.to(x.device).expand(len(x))
        time = functional.silu(self.time_embedding(self.time_proj(t).to(x.dtype)))
        features = self.described(x, [module(time) for module in self.time_modules])
        return self.head(functional.silu(features))
