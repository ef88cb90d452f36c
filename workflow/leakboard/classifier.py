"""The classifier of noised images, which guides a sampler."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from leakboard.lean import ConfigMixin, ModelMixin, UNet2DModel, register_to_config


class TimeClassifier(ModelMixin, ConfigMixin):
    """Logits of a noised image: the U-Net's down path and middle block, then a head.

    CPSample, appendix B: time embedding kept; GroupNorm, SiLU, pooling, one convolution.
    Other keyword arguments are those of UNet2DModel.
    """

    @register_to_config
    def __init__(
        self,
        sample_size: int = 32,
        in_channels: int = 3,
        outputs: int = 1,
        block_out_channels: tuple[int, ...] = (128, 256),
        down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D"),
        layers_per_block: int = 1,
        norm_num_groups: int = 32,
        attention_head_dim: int | None = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        unet = UNet2DModel(
            sample_size=sample_size,
            in_channels=in_channels,
            block_out_channels=block_out_channels,
            down_block_types=down_block_types,
            up_block_types=["UpBlock2D"] * len(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            attention_head_dim=attention_head_dim,
            dropout=dropout,
        )
        self.time_proj, self.time_embedding = unet.time_proj, unet.time_embedding
        self.conv_in, self.down_blocks, self.mid_block = (
            unet.conv_in,
            unet.down_blocks,
            unet.mid_block,
        )
        width = block_out_channels[-1]
        self.norm = nn.GroupNorm(norm_num_groups, width)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (b, c, h, w), t () or (b,) -> logits (b, outputs)."""
        t = t.to(x.device).expand(len(x))
        time = self.time_embedding(self.time_proj(t).to(x.dtype))
        hidden = self.conv_in(x)
        for block in self.down_blocks:
            hidden, _ = block(hidden, time)
        hidden = functional.silu(self.norm(self.mid_block(hidden, time)))
        return self.head(hidden.mean((2, 3), keepdim=True))[..., 0, 0]
