"""What a name in the configuration means: networks, extractors, defenses and attacks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from leakboard.strict import Name, Strict

Pool = Literal["members", "half-a", "half-b", "reference", "drawn"]
Access = Literal["weights", "predictor", "images", "nothing"]
Role = Literal["contestant", "copy-machine", "never-saw-members", "noise", "early-stop"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


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
    init: str | None = Field(
        None,
        description="what it is before its training: a network's name, a diffusers folder (of a "
        "UNet2DModel or a pipeline), an asset or a model in the Hugging Face cache, such as "
        "google/ddpm-cifar10-32",
    )
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
    role: Role = Field(
        "contestant",
        description="a control's outcome is known beforehand, and invalidates the board where it "
        "comes out otherwise; early-stop is a baseline: less training. Neither is ranked",
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
    against: list[Name] = Field(
        [], description="the defenses attacked; all contestants and `none` where not given"
    )
    params: dict[str, Any] = Field({}, description="the method's own params")
    sweep: dict[str, list[Any]] = Field({}, description="param: values, one entry for each")
    family: Name | None = Field(
        None,
        description="extraction attacks of one family differ in strength alone, as those of "
        "a sweep do: the best one is chosen on one half of the pictures, and told of the other",
    )
