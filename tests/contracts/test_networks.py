"""Networks: diffusers opens what is saved, and what does not fit is refused by name."""

import json

import pytest
import torch
from diffusers import DDIMPipeline, UNet2DModel

from leakboard import networks
from leakboard.artefacts import about
from leakboard.diffusion import Denoiser, Schedule
from leakboard.digests import digest
from leakboard.errors import UserError

SMALL = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "norm_num_groups": 4,
    "attention_head_dim": 8,
}
UNET = {**SMALL, "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "dropout": 0.1}
NOISE = {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
SPEC = {"stage": "train", "network": "tiny"}


def tiny(kind="denoiser", seed=0, **more):
    torch.manual_seed(seed)
    if kind == "encoder":
        return networks.build(kind, {"width": 8, "dim": 16}, 8, 1, outputs=10)
    outputs = {} if kind == "denoiser" else {"outputs": 1}
    architecture = {**(UNET if kind == "denoiser" else SMALL), **more}
    return networks.build(kind, architecture, 8, 1, **outputs)


def saved(folder, net, spec=SPEC):
    networks.save(net, folder, Schedule.linear(**NOISE), NOISE, about(spec))
    return folder


@pytest.mark.parametrize("kind", ["denoiser", "classifier", "encoder"])
def test_a_network_comes_back_as_it_was_saved(kind, tmp_path):
    net = tiny(kind).eval()
    back = networks.load(saved(tmp_path / "net", net), digest(SPEC))
    assert not back.training
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([5, 500, 999])
    with torch.no_grad():
        one, two = ((n(x) if kind == "encoder" else n(x, t)) for n in (net, back))
    one, two = (getattr(out, "sample", out) for out in (one, two))
    assert torch.equal(one, two)
    assert all(not p.requires_grad for p in back.parameters())


def test_diffusers_opens_the_folder_and_draws(tmp_path):
    folder = saved(tmp_path / "net", tiny())
    unet = UNet2DModel.from_pretrained(folder)
    assert torch.equal(unet.conv_in.weight, tiny().conv_in.weight)
    pipeline = DDIMPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(batch_size=1, num_inference_steps=2, output_type="np").images[0]
    assert picture.shape == (8, 8, 1)
    assert not list(folder.glob("*.bin"))


def test_a_network_that_knows_classes_comes_back_with_them_and_diffusers_opens_it(tmp_path):
    net = tiny(num_class_embeds=4).eval()
    folder = saved(tmp_path / "net", net)
    x, t, classes = torch.randn(4, 1, 8, 8), torch.tensor(300), torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        expected = net(x, t, class_labels=classes).sample
        for back in (networks.load(folder, digest(SPEC)), UNet2DModel.from_pretrained(folder)):
            assert back.config.num_class_embeds == 4
            assert torch.equal(back(x, t, class_labels=classes).sample, expected)
            assert not torch.equal(back(x, t, class_labels=classes.flip(0)).sample, expected)
    assert Denoiser(networks.load(folder), Schedule.linear()).taught == 3


def test_a_network_without_classes_cannot_start_from_the_weights_of_one_with_them(tmp_path):
    folder = saved(tmp_path / "net", tiny(num_class_embeds=4))
    with pytest.raises(UserError, match=r"another architecture: class_embedding\.weight"):
        networks.start_from(tiny(), folder)


def test_equal_networks_have_equal_bytes(tmp_path):
    one, two = (saved(tmp_path / name, tiny()) for name in "ab")
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()


def test_the_classifier_is_the_down_path_and_the_middle_of_the_unet():
    classifier, unet = tiny("classifier"), tiny()
    own = {name.split(".")[0] for name, _ in classifier.named_parameters()}
    assert own == {"time_embedding", "conv_in", "down_blocks", "mid_block", "norm", "head"}
    shapes = dict(unet.named_parameters())
    for name, value in classifier.down_blocks.named_parameters():
        assert value.shape == shapes[f"down_blocks.{name}"].shape
    x = torch.randn(4, 1, 8, 8)
    logits = classifier(x, torch.tensor(10))
    assert logits.shape == (4, 1)
    assert not torch.allclose(logits, classifier(x, torch.tensor(900)))  # it is told the time


def test_dropout_is_where_the_track_puts_it():
    rates = {m.p for m in tiny().modules() if isinstance(m, torch.nn.Dropout)}
    assert 0.1 in rates


def test_a_network_starts_from_a_diffusers_folder_of_the_same_architecture(tmp_path):
    folder = tmp_path / "elsewhere"
    theirs = tiny(seed=1)
    theirs.save_pretrained(folder)  # by diffusers itself, without a word from leakboard
    net = tiny(seed=2)
    networks.start_from(net, folder)
    assert all(
        torch.equal(a, b) for a, b in zip(net.parameters(), theirs.parameters(), strict=True)
    )


def test_another_architecture_is_refused_with_the_first_differences(tmp_path):
    folder = saved(tmp_path / "net", tiny(block_out_channels=[8, 24]))
    with pytest.raises(UserError, match=r"another architecture: .*24.*there.*16.*here"):
        networks.start_from(tiny(), folder)


def test_a_folder_from_another_configuration_is_refused_by_name(tmp_path):
    folder = saved(tmp_path / "net", tiny(), {**SPEC, "network": "other"})
    with pytest.raises(UserError, match=r"net/diffusion_pytorch.*another configuration.*remove"):
        networks.load(folder, digest(SPEC))
    assert networks.load(folder) is not None  # without an expectation it is just a network


@pytest.mark.parametrize("keep", [0, 7, 100, 5000])
def test_weights_that_were_cut_short_are_refused_by_name(tmp_path, keep):
    folder = saved(tmp_path / "net", tiny())
    file = folder / networks.WEIGHTS
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"safetensors.*cut short or damaged: remove it"):
        networks.load(folder, digest(SPEC))


def test_missing_weights_and_unknown_classes_are_refused_by_name(tmp_path):
    folder = saved(tmp_path / "net", tiny())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_class_name": "Evil"}))
    with pytest.raises(UserError, match="_class_name is 'Evil', expected one of UNet2DModel"):
        networks.load(folder)
    (folder / networks.WEIGHTS).unlink()
    with pytest.raises(UserError, match="no such file"):
        networks.start_from(tiny(), folder)


def test_an_architecture_that_cannot_be_built_names_its_section():
    with pytest.raises(UserError, match=r"architecture\.denoiser"):
        networks.build("denoiser", {**UNET, "block_out_chanels": [8]}, 8, 1)
    with pytest.raises(UserError, match=r"architecture\.denoiser"):
        networks.build("denoiser", {**UNET, "norm_num_groups": 7}, 8, 1)
