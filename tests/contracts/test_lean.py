"""The U-Net is imported without what it does not need, and nobody else is the poorer for it."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_unet_brings_no_transformers_and_no_compiler():
    code = (
        "import sys, leakboard.lean\n"
        "heavy = [m for m in sys.modules if m.startswith('diffusers.models.transformers.')]\n"
        "print(sorted(m.rpartition('.')[2] for m in heavy), 'torch._dynamo' in sys.modules)"
    )
    assert run(code) == "['dual_transformer_2d', 'transformer_2d'] False"


@pytest.mark.parametrize("first", [True, False])
def test_who_imports_the_rest_gets_it_with_the_same_class_in_it(first: bool):
    lean = "from leakboard.lean import UNet2DModel as lean"
    rest = (
        "import torch._dynamo; from diffusers.training_utils import EMAModel; "
        "from diffusers.models.transformers import FluxTransformer2DModel; "
        "from diffusers import DDIMPipeline, UNet2DModel"
    )
    code = f"{lean}\n{rest}" if first else f"{rest}\n{lean}"
    assert run(f"{code}\nprint(lean is UNet2DModel)") == "True"


def test_what_the_lean_unet_says_is_what_the_whole_one_says():
    code = (
        "import torch\n"
        "{0}\n"
        "torch.manual_seed(0)\n"
        "net = UNet2DModel(sample_size=8, in_channels=1, out_channels=1, norm_num_groups=4,\n"
        "    block_out_channels=(8, 16), layers_per_block=1,\n"
        "    down_block_types=('DownBlock2D', 'AttnDownBlock2D'),\n"
        "    up_block_types=('AttnUpBlock2D', 'UpBlock2D')).eval()\n"
        "with torch.no_grad():\n"
        "    print(net(torch.ones(1, 1, 8, 8), 3).sample.double().sum().item().hex())"
    )
    whole = run(code.format("from diffusers import UNet2DModel"))
    assert run(code.format("from leakboard.lean import UNet2DModel")) == whole
