"""Extractors with weights from elsewhere: the right numbers, of the right file, or a refusal."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from torch import Tensor
from torch.nn import functional

import stand_ins
from leakboard import assets, catalog, inception, plugins, resolve, settings, vision, vit, weights
from leakboard.digests import digest
from leakboard.errors import UserError
from leakboard.features import Extract
from leakboard.files import sha256
from leakboard.images import to_float
from leakboard.plan import Plan


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own."""
    monkeypatch.setenv(assets.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def pictures(n: int = 3, size: int = 32, channels: int = 3) -> Any:
    shape = (n, size, size, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def spec(method: str, path: Path, **params: Any) -> dict[str, Any]:
    """What a job is told of an extractor with these weights."""
    whole = plugins.params("extractors", method, {"weights": str(path), **params})
    return {
        "method": method,
        "params": whole,
        "network": None,
        "weights": assets.fingerprint(str(path)),
    }


def test_no_setting_of_a_profile_changes_what_an_extractor_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in settings.LAYOUTS:  # what is set here ends with the test
        monkeypatch.setenv(f"LEAKBOARD_{key.upper()}", "")
    path = stand_ins.file("sscd")
    told = spec("sscd", path, sha256=sha256(path))
    plain = Extract(told, [])(pictures())
    names = ("precision", "sampling_precision", "training_precision")
    fast = {**dict.fromkeys(names, "bf16"), "memory_format": "channels-last"}
    assert settings.take(fast) == dict.fromkeys(("attack", "samples", "train"), "bf16")
    found = Extract(told, [])(pictures())
    assert found.dtype == np.float32
    assert np.array_equal(found, plain)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_features_do_not_depend_on_how_many_images_are_extracted_at_once(size: int) -> None:
    path = stand_ins.file("sscd")
    extract = Extract(spec("sscd", path, sha256=sha256(path)), [])
    plain = extract(pictures(20))
    extract.batch = size
    np.testing.assert_allclose(extract(pictures(20)), plain, rtol=0, atol=1e-6)


# --- inception -----------------------------------------------------------------------------------


def test_inception_resizes_as_tensorflow_1_did() -> None:
    # by its definition: pixel i lies at i * side / size, between its neighbors, the last repeated
    image = torch.rand(1, 3, 5, 8)
    found = vision.like_tensorflow(image, 7)[0]
    for row, column in np.ndindex(7, 7):
        y, x = row * 5 / 7, column * 8 / 7
        top, left = int(y), int(x)
        below, right = min(top + 1, 4), min(left + 1, 7)
        upper = image[0, :, top, left] * (1 - x + left) + image[0, :, top, right] * (x - left)
        lower = image[0, :, below, left] * (1 - x + left) + image[0, :, below, right] * (x - left)
        expected = upper * (1 - y + top) + lower * (y - top)
        torch.testing.assert_close(found[:, row, column], expected, rtol=0, atol=1e-6)
    assert torch.equal(vision.like_tensorflow(image, 5)[:, :, :, 0], image[..., 0])


def test_inception_has_the_published_tensors_and_their_names() -> None:
    shapes = {k: tuple(v.shape) for k, v in inception.Inception().state_dict().items()}
    convolutions = [name for name in shapes if name.endswith("conv.weight")]
    assert len(convolutions) == 94
    weights = sum(np.prod(shapes[name]) for name in convolutions)
    channels = sum(shapes[name][0] for name in convolutions)
    assert weights + 3 * channels == 21_802_784  # as Keras counts its Inception v3 without a top
    assert shapes["Mixed_6c.branch7x7dbl_3.conv.weight"] == (160, 160, 1, 7)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7b.branch_pool.bn.running_var"] == (192,)


def test_inception_reads_pytorchs_file_and_safetensors_alike(tmp_path: Path) -> None:
    one = stand_ins.inception_pth(tmp_path / "a.pth")
    other = stand_ins.inception_safetensors(tmp_path / "b.safetensors")
    found = [Extract(spec("inception", path), [])(pictures()) for path in (one, other)]
    assert found[0].shape == (3, inception.DIM)
    assert np.array_equal(*found)


def frozen(net: Any) -> Any:
    """The network with weights that are the same with every release of PyTorch."""
    rng, state = np.random.RandomState(0), net.state_dict()
    for name in sorted(name for name in state if not name.endswith("num_batches_tracked")):
        shape = tuple(state[name].shape)
        values = rng.standard_normal(shape)
        if len(shape) == 4:
            values *= (2 / np.prod(shape[1:])) ** 0.5
        elif name.endswith("running_var"):
            values = 1 + values**2 / 10
        else:
            values = values / 10 + name.endswith("weight")
        state[name] = torch.from_numpy(values).float()
    net.load_state_dict(state)
    return net.eval()


def test_inception_gives_what_torch_fidelity_gave_for_the_same_weights() -> None:
    # the features that torch-fidelity 0.4 computes with these weights of these images
    net = frozen(inception.Inception())
    wanted = {
        32: [0.0, 0.008717, 0.247113, 0.096022, 0.042935],
        350: [0.0, 0.012768, 0.271396, 0.078218, 0.02738],
    }
    for size, expected in wanted.items():
        pixels = np.random.RandomState(1).randint(0, 256, (1, 3, size, size)).astype(np.uint8)
        images = to_float(pixels.transpose(0, 2, 3, 1))
        with torch.no_grad():
            found = plugins.load("extractors", "inception", {}).features(images, net)
        assert found[0, [0, 5, 700, 1500, 2047]].tolist() == pytest.approx(expected, abs=2e-5)


@pytest.mark.skipif(not importlib.util.find_spec("torch_fidelity"), reason="no torch-fidelity")
def test_inception_agrees_with_torch_fidelity() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = stand_ins.file("inception")
    theirs = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(path))
    for size in (8, 32, 64, 299, 400):
        pixels = pictures(size=size)
        (expected,) = theirs(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        found = Extract(spec("inception", path), [])(pixels)
        assert np.abs(found - expected.numpy()).max() < 1e-4 * expected.abs().mean()


def test_grey_images_have_three_equal_channels() -> None:
    grey = pictures(channels=1)
    extract = Extract(spec("inception", stand_ins.file("inception")), [])
    assert np.array_equal(extract(grey), extract(np.repeat(grey, 3, axis=3)))
    with pytest.raises(UserError, match="4 channels, expected 1"):
        extract(pictures(channels=4))


# --- SSCD ----------------------------------------------------------------------------------------

RECIPES: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "the authors'": (
        {},
        lambda x: (
            (functional.interpolate(x, (320, 320), mode="bilinear", antialias=True) - MEAN) / STD
        ),
    ),
    "DCR's": (
        {"resize": 256, "crop": 224, "normalize": "half"},
        lambda x: (
            functional.interpolate(x, (256, 256), mode="bilinear", antialias=True)[
                ..., 16:240, 16:240
            ]
            * 2
            - 1
        ),
    ),
    "AMG's": (
        {"resize": 224, "normalize": "none"},
        lambda x: functional.interpolate(x, (224, 224), mode="bilinear", antialias=True),
    ),
}
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.mark.parametrize("who", RECIPES)
def test_sscd_prepares_images_by_the_recipe(who: str) -> None:
    path = stand_ins.file("sscd")
    params, prepared = RECIPES[who]
    pixels = pictures(size=64)
    found = Extract(spec("sscd", path, sha256=sha256(path), **params), [])(pixels)
    net = torch.jit.load(path)
    with torch.no_grad():
        expected = net(prepared(to_float(pixels).add(1).div(2))).numpy()
    assert found.shape == (3, 512)
    assert np.abs(found - expected).max() < 1e-5


def test_resizing_is_what_pillow_does_up_to_its_rounding() -> None:
    from PIL import Image

    (pixels,) = pictures(1, size=64)
    theirs = np.asarray(Image.fromarray(pixels).resize((24, 24), Image.Resampling.BILINEAR))
    ours = vision.resized(to_float(pixels[None]).add(1).mul(127.5), 24)[0]
    assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() < 1.01


def test_an_image_is_its_own_copy_and_batch_mates_never_matter() -> None:
    path = stand_ins.file("sscd")
    extract = Extract(spec("sscd", path, sha256=sha256(path)), [])
    pixels = pictures(40)
    first, again = extract(pixels), extract(pixels)
    assert np.array_equal(first, again)  # the first call is no different from the next
    assert np.abs(extract(pixels[7:8])[0] - first[7]).max() < 1e-6
    assert np.allclose((first * first).sum(1), 1, atol=1e-6)


# --- DINO and CLIP -------------------------------------------------------------------------------


def encoded(state: dict[str, Tensor], x: Tensor, eps: float, activation: Any) -> Tensor:
    """Tokens (n, t, 128) through blocks with DINO's names, as PyTorch's own layers compute them."""
    for i in (0, 1):
        layer = torch.nn.TransformerEncoderLayer(
            128,
            2,
            len(state[f"blocks.{i}.mlp.fc1.bias"]),
            0.0,
            activation,
            layer_norm_eps=eps,
            batch_first=True,
            norm_first=True,
        )
        names = {
            "attn.qkv.": "self_attn.in_proj_",
            "attn.proj.": "self_attn.out_proj.",
            "mlp.fc1.": "linear1.",
            "mlp.fc2.": "linear2.",
        }
        own = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items() if f"blocks.{i}." in k}
        for here, there in names.items():
            own = {key.replace(here, there): value for key, value in own.items()}
        layer.load_state_dict(own)
        x = layer.train(False)(x)
    return functional.layer_norm(x[:, 0], (128,), state["norm.weight"], state["norm.bias"], eps)


def test_dino_is_what_pytorchs_own_layers_compute() -> None:
    path = stand_ins.file("dino")
    state = weights.tensors(path)
    pixels = pictures(size=56)  # of the size of the training: no position is between others
    found = Extract(spec("dino", path), [])(pixels)
    x = to_float(pixels).add(1).div(2)
    patches = functional.conv2d(
        x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], 14
    )
    tokens = torch.cat([state["cls_token"].expand(3, 1, 128), patches.flatten(2).mT], 1)
    with torch.no_grad():
        expected = encoded(state, tokens + state["pos_embed"], 1e-6, functional.gelu)
    assert np.abs(found - functional.normalize(expected, dim=1).numpy()).max() < 1e-5


@pytest.mark.parametrize(("size", "patches"), [(32, 9), (64, 25), (14, 1)])
def test_dino_sees_an_image_as_it_is_mirrored_at_its_borders(size: int, patches: int) -> None:
    extractor, net = stand_ins.ready("dino", plugins.params("extractors", "dino", {}))
    seen: list[Tensor] = []
    net.patch_embed["proj"].register_forward_hook(lambda _, args, out: seen.extend((args[0], out)))
    images = to_float(pictures(1, size))
    extractor.features(images, net)
    shown, found = seen
    assert found.shape[-2] * found.shape[-1] == patches
    before = (shown.shape[-1] - size) // 2
    inside = shown[..., before : before + size, before : before + size]
    assert torch.equal(inside, images.add(1).div(2))  # neither resized nor normalized
    if before:
        assert torch.equal(shown[..., before - 1, :], shown[..., before + 1, :])
    with pytest.raises(UserError, match="too small to mirror"):
        vision.padded(torch.zeros(1, 3, 4, 4), 14)


def test_dinov2s_gated_blocks_and_other_patches_are_read_from_the_shapes(tmp_path: Path) -> None:
    path = stand_ins.dino_pth(tmp_path / "g.pth", gated=True)
    net = Extract(spec("dino", path), []).net
    assert net.blocks[0].gated
    assert hasattr(net.blocks[0], "ls1")
    path = stand_ins.dino_pth(tmp_path / "16.pth", patch=16)
    found = Extract(spec("dino", path, resize=64, normalize="imagenet"), [])(pictures(size=20))
    assert found.shape == (3, 128)
    torch.save({**weights.tensors(path), "register_tokens": torch.zeros(1, 4, 128)}, path)
    with pytest.raises(UserError, match="another network: register_tokens"):
        Extract(spec("dino", path), [])


def test_clip_is_what_pytorchs_own_layers_compute_under_both_of_its_names(tmp_path: Path) -> None:
    state = stand_ins.clip_state()
    pixels = pictures(size=32)
    found = Extract(spec("clip", stand_ins.file("clip")), [])(pixels)
    assert found.shape == (3, 32)
    own = vit.of_clip(state)
    x = vision.normalized(to_float(pixels).add(1).div(2), vision.CLIP)
    patches = functional.conv2d(x, state["visual.conv1.weight"], stride=8).flatten(2).mT
    tokens = torch.cat([own["cls_token"].expand(3, 1, 128), patches], 1) + own["pos_embed"]
    pre = (own["norm_pre.weight"], own["norm_pre.bias"])
    tokens = functional.layer_norm(tokens, (128,), *pre, 1e-5)
    with torch.no_grad():
        last = encoded(own, tokens, 1e-5, lambda x: x * torch.sigmoid(1.702 * x))
    expected = functional.normalize(last @ state["visual.proj"], dim=1).numpy()
    assert np.abs(found - expected).max() < 1e-5
    safetensors.torch.save_file(hugging_face(state), tmp_path / "hf.safetensors")
    again = Extract(spec("clip", tmp_path / "hf.safetensors"), [])(pixels)
    assert np.array_equal(again, found)
    with pytest.raises(UserError, match="no image tower of CLIP"):
        vit.of_clip({"weight": torch.zeros(1)})


def hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's tensors under the names that Hugging Face gives them."""
    names = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "visual.transformer.resblocks": "vision_model.encoder.layers",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    found = {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    for key, value in state.items():
        name = key
        for there, here in names.items():
            name = name.replace(there, here)
        if ".attn.in_proj_" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                own = name.replace("attn.in_proj_", f"self_attn.{part}_proj.")
                found[own] = third.clone()
        elif key == "visual.proj":
            found["visual_projection.weight"] = value.T.contiguous()
        else:
            found[name] = value
    return found


@pytest.mark.parametrize("method", stand_ins.MAKERS)
def test_a_defense_can_follow_features_back_to_the_image(method: str) -> None:
    extractor, net = stand_ins.ready(method, plugins.params("extractors", method, {}))
    images = to_float(pictures(2, channels=1)).requires_grad_()
    first = extractor.features(images, net)[0][:8].square().sum()
    (slope,) = torch.autograd.grad(first, images)
    assert slope[0].abs().max() > 0
    assert not slope[1].any()  # of its batch mate, nothing
    assert not any(each.requires_grad for each in net.parameters())


# --- which file, and whether it may run ----------------------------------------------------------


def test_code_runs_only_where_its_content_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stand_ins.file("sscd")
    right, wrong = sha256(path), "0" * 64
    with pytest.raises(UserError, match=f"is code.*if you trust it, add `sha256: {right}`"):
        Extract(spec("sscd", path), [])
    with pytest.raises(
        UserError, match=f"has SHA-256 {right}, and the configuration trusts {wrong}"
    ):
        Extract(spec("sscd", path, sha256=wrong), [])
    said = {"what": "x", "terms": "x", "urls": ["https://x.invalid/x"]}
    for pinned, runs in ((right, True), (None, False)):
        known = {"toy": catalog.parse("toy", {**said, "sha256": pinned})}
        monkeypatch.setattr(catalog, "known", lambda known=known: known)
        if runs:
            weights.script(path, "toy")
        else:  # what was recorded at a first download is not enough for code
            with pytest.raises(UserError, match="nobody says what is in it"):
                weights.script(path, "toy")


class Hostile:
    """Runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_file_that_holds_more_than_weights_is_refused_and_does_nothing(tmp_path: Path) -> None:
    path, harm = tmp_path / "a.pth", tmp_path / "harm"
    torch.save({"weight": Hostile(harm)}, path)
    with pytest.raises(UserError, match="holds more than weights"):
        Extract(spec("inception", path), [])
    assert not harm.exists()
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="expected a dictionary of tensors"):
        weights.tensors(path)
    for content, said in (
        (b"PK\3\4", "cut short"),
        (b"", "not a whole"),
        (b"x" * 99, "not a whole"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            weights.tensors(path)
    # a disguise does not help: code in the place of weights needs trust, too
    script = stand_ins.file("sscd")
    with pytest.raises(UserError, match="nobody says what is in it"):
        weights.tensors(script)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"another network: Conv2d_1a_3x3\.bn\.bias \(None there"):
        Extract(spec("inception", tmp_path / "a.pth"), [])


def test_other_weights_are_another_space_and_a_file_that_changes_stops_the_job(
    tmp_path: Path,
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(stand_ins.file("sscd").read_bytes())
    told = spec("sscd", path, sha256=sha256(path))
    path.write_bytes(stand_ins.file("inception").read_bytes())
    assert spec("sscd", path)["weights"] != told["weights"]
    with pytest.raises(UserError, match=r"when the run began; run again"):
        Extract(told, [])


def test_a_missing_asset_names_the_command_that_gets_it() -> None:
    with pytest.raises(UserError, match="`leakboard assets fetch sscd_disc_large`"):
        assets.fingerprint("sscd_disc_large")
    told = {
        "method": "sscd",
        "params": plugins.params("extractors", "sscd", {}),
        "network": None,
        "weights": assets.fingerprint("sscd_disc_mixup"),  # known though the file is not here
    }
    with pytest.raises(UserError, match="`leakboard assets fetch sscd_disc_mixup`"):
        Extract(told, [])


def board(**extractor: Any) -> Any:
    """The default track, whose pixels are seen through another extractor."""
    root = Path(__file__).parents[2]
    shared = yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))
    shared["tracks"] = ["digits"]
    shared["extractors"]["pixels"] = extractor
    return resolve.read(shared, "config/config.yaml", [root])["digits"]


def test_another_file_at_the_same_path_reruns_what_looks_through_it(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    specs = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        plan = Plan(board(method="inception", params={"weights": str(path)}))
        specs.append(
            {
                "pools": digest(plan.embed_pools("pixels")),
                "pictures": digest(plan.embed("pixels", "none", "plain", 0)),
                "copies": digest(plan.similarity("pixels", "none", "plain", 0)),
                "other": digest(plan.embed_pools("local-sscd")),
                "training": digest(plan.train("base", 0)),
            }
        )
    changed = {key for key, value in specs[0].items() if specs[1][key] != value}
    assert changed == {"pools", "pictures", "copies"}


def test_a_run_is_stopped_where_weights_are_missing_or_may_not_run(tmp_path: Path) -> None:
    assets.require([board(method="pixels")])  # entries that no track looks through are no matter
    with pytest.raises(UserError, match=r"digits: extractors\.pixels\.params\.weights: 'sscd_disc"):
        assets.require([board(method="sscd")])
    with pytest.raises(UserError, match="'nowhere' is not there"):
        assets.require([board(method="inception", params={"weights": "nowhere"})])
    path = stand_ins.file("sscd")
    with pytest.raises(UserError, match=r"pixels\.params\.weights: .* which is code"):
        assets.require([board(method="sscd", params={"weights": str(path)})])
    told = {"weights": str(path), "sha256": sha256(path)}
    assets.require([board(method="sscd", params=told)])
    assert str(path) in assets.asked([board(method="sscd", params=told)])
