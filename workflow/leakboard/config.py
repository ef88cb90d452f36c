"""The configuration, typed: what to run, and what each name means.

The one source of the JSON schemas in workflow/schemas and of config/README.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.,=_+-]*$")]
Pool = Literal["members", "half-a", "half-b", "reference", "drawn"]
Access = Literal["weights", "predictor", "images", "nothing"]
NUMBERS = (int, float)
Share = Annotated[float, Field(gt=0, lt=1)]


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("every value may be named once")
    return values


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Strict(BaseModel):
    """A section of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in NUMBERS:
            raise ValueError("Input should be a number, not true or false")
        return value


class Dataset(Strict):
    """Where the real images come from."""

    method: str = Field(description="file in workflow/leakboard/data, or an installed plug-in")
    params: dict[str, Any] = Field({}, description="the method's own params")


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


class Noise(Strict):
    """The noise schedule: linear betas."""

    steps: int = Field(1000, ge=2, description="T, the number of noise levels")
    beta_start: float = Field(1e-4, gt=0, lt=1, description="beta of the first level")
    beta_end: float = Field(0.02, gt=0, lt=1, description="beta of the last level")


class Architecture(Strict):
    """How large the track's networks are; the keys are the networks' own arguments."""

    denoiser: dict[str, Any] = Field(description="arguments of diffusers' UNet2DModel")
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


class Sampling(Strict):
    """How pictures are drawn; the same for every defense."""

    sampler: Literal["ddim", "ddpm"] = Field("ddim", description="DDIM (eta 0) or ancestral DDPM")
    steps: int = Field(50, ge=1, description="sampler steps")
    images: int = Field(ge=1, description="pictures per (defense, sampler, seed)")
    extraction_images: int | None = Field(
        None, ge=2, description="pictures per extraction attack; as many as `images` if not given"
    )
    shards: int = Field(1, ge=1, description="jobs that share the drawing")
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
    theory: Theory | None = Field(None, description="measured where given")
    neighbors: int = Field(50, ge=1, description="k of nL2")
    index: Literal["flat", "ivf", "hnsw"] = Field(
        "flat", description="the neighbor search: exact, or approximate for millions of members"
    )
    alpha: float = Field(0.5, gt=0, description="alpha of nL2")
    permutations: int = Field(999, ge=19, description="R of the permutation test")
    permutation_subsample: int = Field(100, ge=1, description="pictures per permutation draw")


class Entry(Strict):
    """What every named entry may carry to the leaderboard."""

    paper: str = Field("", description="where the method was published")
    reported: dict[str, float] = Field({}, description="metric: value, as the paper reports it")
    caveat: str = Field("", description="what a reader must know before comparing")


class Dedup(Strict):
    """A pool without near-duplicates: of images linked by similarity, the first stays, once."""

    extractor: Name = Field(description="the feature space; its network has the track's first seed")
    similarity: float = Field(
        description="images at least so similar, as this extractor measures it, are one"
    )


class Labels(Strict):
    """Labels that a network learns in place of its images' classes."""

    by: Literal["cluster", "image", "chance"] = Field(
        description="k-means in a feature space, one class for each image, or dice"
    )
    classes: int | None = Field(None, ge=1, description="how many; needed but by image")
    extractor: Name | None = Field(
        None, description="the feature space of clusters; its network has the track's first seed"
    )


class Network(Entry):
    """Anything trained: a denoiser, a classifier, an encoder. Trained once per track and seed."""

    trainer: str = Field(description="file in workflow/leakboard/trainers, or a plug-in")
    data: Pool = Field(
        description="the pool it is trained on (no network may be trained on held-out images), or "
        "`drawn`: the plain pictures of an attack's target, for which it is trained anew"
    )
    init: str | None = Field(None, description="a network's name, or a diffusers folder")
    teachers: dict[Pool, Name] = Field(
        {}, description="pool: network that teaches on it; two pools take turns, batch by batch"
    )
    dedup: Dedup | None = Field(None, description="train on the pool without near-duplicates")
    labels: Labels | None = Field(None, description="what it learns instead of the true classes")
    params: dict[str, Any] = Field({}, description="the trainer's own params")
    training: dict[str, Any] = Field({}, description="what differs from the track's training")


class Extractor(Entry):
    """Images to feature vectors."""

    method: str = Field(description="file in workflow/leakboard/extractors, or a plug-in")
    network: Name | None = Field(None, description="the encoder it uses, if it is trained here")
    params: dict[str, Any] = Field({}, description="the method's own params")


class Defense(Entry):
    """Which denoisers a picture is drawn from, and how."""

    denoisers: list[Name] = Field(min_length=1, description="networks that predict the noise")
    method: str = Field("none", description="file in workflow/leakboard/defenses, or a plug-in")
    classifier: Name | None = Field(None, description="the network that guides, if any")
    extractor: Name | None = Field(
        None, description="the space in which it looks for the nearest member, if it does"
    )
    params: dict[str, Any] = Field({}, description="the method's own params")
    sweep: dict[str, list[Any]] = Field({}, description="param: values, one entry for each")


class Attack(Entry):
    """A membership attack scores each audited image, higher = more likely a member; an extraction
    attack draws pictures, hoping for copies. Who sees nothing is a control: it is asked once, about
    the split.
    """

    method: str = Field(description="file in workflow/leakboard/attacks, or a plug-in")
    sees: Annotated[list[Access], BeforeValidator(_listed)] = Field(
        [], description="what the attacker may query; all that the method can, where not given"
    )
    classifier: Name | None = Field(
        None, description="the network that steers an extraction attack, if one does"
    )
    against: list[Name] = Field([], description="the defenses attacked; all where not given")
    params: dict[str, Any] = Field({}, description="the method's own params")
    sweep: dict[str, list[Any]] = Field({}, description="param: values, one entry for each")
    family: Name | None = Field(
        None,
        description="extraction attacks of one family differ in strength alone, as those of "
        "a sweep do: the best one is chosen on one half of the pictures, and told of the other",
    )


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
