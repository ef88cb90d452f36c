"""diffusers' U-Net without what it imports on the way: every other model, and torch's compiler.

`from diffusers import UNet2DModel` takes 2.2 s, this 0.4 s, which counts in jobs of a few seconds.
Nothing else changes: who imports the rest later gets it, with this same class in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType

# Packages whose modules are imported one by one, and that would import all of them.
PACKAGES = ("diffusers.models.transformers", "diffusers.models.unets")
COMPILER = "torch._dynamo"  # diffusers does without it where it cannot be imported


@contextmanager
def _nothing_else() -> Iterator[None]:
    """Inside, the PACKAGES are empty but for what is asked for, and there is no COMPILER."""
    absent: dict[str, ModuleType | None] = {}
    if COMPILER not in sys.modules:
        absent[COMPILER] = sys.modules[COMPILER] = None  # type: ignore[assignment]
    try:
        import diffusers.models  # noqa: F401

        for name in PACKAGES:
            if name not in sys.modules and (spec := find_spec(name)):
                absent[name] = sys.modules[name] = module_from_spec(spec)
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


with _nothing_else():
    from diffusers.configuration_utils import ConfigMixin, register_to_config
    from diffusers.models.embeddings import TimestepEmbedding, Timesteps
    from diffusers.models.modeling_utils import ModelMixin
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

__all__ = [
    "ConfigMixin",
    "DDIMScheduler",
    "DDPMScheduler",
    "ModelMixin",
    "TimestepEmbedding",
    "Timesteps",
    "UNet2DModel",
    "register_to_config",
]
