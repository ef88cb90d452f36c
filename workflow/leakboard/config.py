"""The configuration, typed: which tracks to run, and what a track is. Entries: `leakboard.entries`.

Together they are the one source of the JSON schemas in workflow/schemas and of config/README.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from leakboard.entries import Attack, Defense, Extractor, Network
from leakboard.strict import Name, Share, Strict

Leak = Literal["copies", "members"]
LEAKS: tuple[Leak, ...] = ("copies", "members")  # what an undefended model is expected to leak


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("every value may be named once")
    return values


def _side(value: Any) -> Any:
    if value in (None, "square") or (type(value) is int and value >= 1):
        return value
    raise ValueError("expected a number of pixels, or square")


class Dataset(Strict):
    """Where the real images come from."""

    method: str = Field(description="file in workflow/leakboard/data, or an installed plug-in")
    params: dict[str, Any] = Field({}, description="the method's own params")
    crop: Annotated[int | Literal["square"] | None, BeforeValidator(_side)] = Field(
        None, description="center crop: its side in pixels of the source, or the largest square"
    )
    size: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="side to which each image is resized then"
    )
    filter: Literal["lanczos", "bicubic", "bilinear", "box"] = Field(
        "lanczos", description="of the resize: Pillow's, antialiased"
    )
    limit: Annotated[int, Field(ge=4, strict=True)] | None = Field(
        None, description="use so many images alone, drawn at random by subset.seed"
    )


class Files(Strict):
    """Of which files a pool is: patterns of what the dataset calls them, as `scans/*`."""

    members: str = Field(description="pattern of the files that members are taken from")
    held_out: str = Field(description="likewise; no file may match both")


class Duplicates(Strict):
    """Members that are planted in the training set more than once, all else being equal."""

    images: int = Field(ge=1, description="how many members, spread over halves and folds")
    times: int = Field(ge=2, description="how often an epoch shows each of them")


class Subset(Strict):
    """Which images are members, held-out and reference."""

    members: int = Field(ge=2, description="images that the audited networks are trained on")
    held_out: int = Field(ge=2, description="images of the same distribution, never trained on")
    near_duplicate: float = Field(
        0.0, ge=0, lt=1, description="of images nearer than this (RMS, pixels in [0, 1]), one stays"
    )
    seed: int = Field(0, description="another seed, another split")
    duplicates: Duplicates | None = Field(None, description="members that repeat in trainings")
    split: str | None = Field(
        None,
        description="a published split, as SecMI's CIFAR10_train_ratio0.5.npz: members are taken "
        "from its `mia_train_idxs`, held-out images from its `mia_eval_idxs`; all others are "
        "reference",
    )
    files: Files | None = Field(None, description="the same by file, where there is no `split`")


class Noise(Strict):
    """The noise schedule: linear betas."""

    steps: int = Field(1000, ge=2, description="T, the number of noise levels")
    beta_start: float = Field(1e-4, gt=0, lt=1, description="beta of the first level")
    beta_end: float = Field(0.02, gt=0, lt=1, description="beta of the last level")


class Architecture(Strict):
    """How large the track's networks are; the keys are the networks' own arguments."""

    denoiser: dict[str, Any] = Field(
        description="arguments of diffusers' UNet2DModel; `init: NAME` takes those not given from "
        "the config.json of a diffusers folder, an asset, or a model in the Hugging Face cache"
    )
    classifier: dict[str, Any] = Field(description="the same, for the time-conditioned classifier")
    encoder: dict[str, Any] = Field(description="width, dim: the small image encoder")


class Training(Strict):
    """How a network is trained."""

    steps: int = Field(ge=1, description="optimizer steps")
    batch_size: int = Field(64, ge=1, description="images a step")
    lr: float = Field(gt=0, description="peak learning rate of AdamW")
    lr_decay: Literal["constant", "cosine"] = Field("constant", description="after the warm-up")
    warmup: int = Field(0, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the weights' moving average")
    flip: bool = Field(False, description="mirror half of the images")
    stop_after: float = Field(
        1.0, gt=0, le=1, description="early stopping: the share of the steps that is really done"
    )


class Sampling(Strict):
    """How pictures are drawn; the same for every defense."""

    sampler: Literal["ddim", "ddpm"] = Field("ddim", description="DDIM (eta 0) or ancestral DDPM")
    steps: int = Field(50, ge=1, description="sampler steps")
    images: int = Field(ge=1, description="pictures per (defense, sampler, seed)")
    extraction_images: int | None = Field(
        None, ge=2, description="pictures per extraction attack; as many as `images` if not given"
    )
    batch_size: int = Field(250, ge=1, description="pictures at once; shards are cut between them")
    clip_sample: bool = Field(False, description="clip the predicted clean image to [-1, 1]")
    guidance: float = Field(
        1.0, ge=0, description="classifier-free guidance of networks that know classes; 1 is none"
    )


class Theory(Strict):
    """SIDE's memorization metric, and the ratio of its Theorem 1 for networks that know labels."""

    extractor: Name = Field("pixels", description="the space; pixels are taken in [0, 1]")
    epsilons: list[Annotated[float, Field(gt=0)]] = Field(
        [0.1, 0.01, 0.001],
        min_length=1,
        description="variances per dimension of the density around a member; the ratio's limit at "
        "0 is told as well",
    )
    entropy: Literal["gaussian", "nearest-neighbor"] = Field(
        "gaussian", description="how the entropy of the pictures is estimated"
    )


class Evaluation(Strict):
    """How the pictures and the attacks are judged."""

    extractors: list[Name] = Field(description="similarity is measured in each of these spaces")
    copies: Name = Field(description="the extractor whose copy rate is the headline")
    quality: Name = Field(description="the extractor of FID and KID, against the held-out pool")
    copy_thresholds: dict[Name, list[float]] = Field(
        {}, description="papers' thresholds per extractor, beside the calibrated one"
    )
    bands: dict[Name, tuple[float, float]] = Field(
        {}, description="of similarity, [low, high): AMS and UMS are told of each, beside SIDE's"
    )
    calibration: Share = Field(
        0.001, description="share of held-out images that may pass the calibrated copy threshold"
    )
    leaks: list[Leak] = Field(
        list(LEAKS),
        min_length=1,
        description="what `none` must be seen to leak, or else the board is void",
    )
    gate: float = Field(
        3.0,
        gt=1,
        description="an entry whose FID is more than so many times that of `none` is not ranked",
    )
    gallery: int = Field(
        8,
        ge=0,
        description="closest calls shown of each defense; 0: no training image in any figure",
    )
    gallery_kb: int = Field(500, ge=1, description="the most that they may add to the page")
    theory: Theory | None = Field(None, description="measured where given")
    neighbors: int = Field(50, ge=1, description="k of nL2")
    index: Literal["flat", "ivf", "hnsw"] = Field(
        "flat", description="the neighbor search: exact, or approximate for millions of members"
    )
    alpha: float = Field(0.5, gt=0, description="alpha of nL2")
    permutations: int = Field(999, ge=19, description="R of the permutation test")
    permutation_subsample: int = Field(100, ge=1, description="pictures per permutation draw")


class Shared(Strict):
    """config/config.yaml: which tracks to run, and the names that every track shares."""

    tracks: list[Name] = Field(min_length=1, description="files in config/tracks")
    networks: dict[Name, Network] = Field(description="every training there is")
    extractors: dict[Name, Extractor] = Field(description="feature spaces")
    defenses: dict[Name, Defense] = Field(description="contestants")
    attacks: dict[Name, Attack] = Field(description="challengers")


class Track(Strict):
    """config/tracks/<name>.yaml: one benchmark."""

    extends: Name | None = Field(
        None, description="the track whose file this one changes; then nothing else is required"
    )
    about: str = Field(description="one sentence for the page: what is asked, of which images")
    dataset: Dataset
    subset: Subset
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_once)] = Field(
        [0], min_length=1, description="one training and sampling for each"
    )
    shards: int = Field(
        1, ge=1, description="jobs that share the drawing of a set of pictures, and work like it"
    )
    noise: Noise = Noise()
    architecture: Architecture
    training: dict[str, Any] = Field({}, description="what the track's trainings have in common")
    sampling: Sampling
    evaluation: Evaluation
    networks: dict[Name, dict[str, Any] | None] = Field(
        {}, description="changes to shared networks; null leaves one out"
    )
    extractors: dict[Name, dict[str, Any] | None] = Field({}, description="likewise")
    defenses: dict[Name, dict[str, Any] | None] = Field({}, description="likewise")
    attacks: dict[Name, dict[str, Any] | None] = Field({}, description="likewise")


class Resolved(Strict):
    """A track with everything filled in: overrides merged, sweeps expanded, params complete."""

    name: str
    track: Track
    networks: dict[str, Network]
    extractors: dict[str, Extractor]
    defenses: dict[str, Defense]
    attacks: dict[str, Attack]
