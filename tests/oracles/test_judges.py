"""Judges that are trained: a few steps must make each better at what it is for."""

import pytest
import torch

from leakboard import networks
from leakboard.copies import altered
from leakboard.data.digits import Dataset
from leakboard.diffusion import Schedule
from leakboard.images import to_float
from leakboard.lessons import Lesson
from leakboard.trainers import copy_detection, labels
from leakboard.training import Training

PIXELS, LABELS = Dataset().load()
IMAGES = to_float(PIXELS)
SETTINGS = {
    "steps": 60,
    "batch_size": 64,
    "lr": 4e-3,
    "lr_decay": "cosine",
    "warmup": 5,
    "weight_decay": 0.0,
    "gradient_clip": 1.0,
    "ema_decay": 0.9,
    "flip": False,
    "stop_after": 1.0,
}


def fitted(trainer, folder, steps=60):
    torch.manual_seed(0)
    data = Lesson("reference", IMAGES[:500], torch.from_numpy(LABELS[:500]), torch.arange(500))
    net = networks.build("encoder", {"width": 8, "dim": 32}, 8, 1, **trainer.outputs(data.labels))
    before = networks.build(
        "encoder", {"width": 8, "dim": 32}, 8, 1, **trainer.outputs(data.labels)
    )
    where = {"names": ("judge",), "where": "judge", "curve": folder / "c.csv"}
    settings = {**SETTINGS, "steps": steps}
    training = Training(
        net, trainer, [data], Schedule.linear(), settings, checkpoint=folder / "k", **where
    )
    return before.eval(), training.run()


def test_the_classifier_learns_to_name_digits_it_has_not_seen(tmp_path):
    before, after = fitted(labels.Trainer(), tmp_path)
    with torch.no_grad():
        right = [
            (n.logits(IMAGES[500:]).argmax(1).numpy() == LABELS[500:]).mean()
            for n in (before, after)
        ]
    assert right[0] < 0.3
    assert right[1] > 0.8


def recall(net, strength=0.7):
    rng = torch.Generator().manual_seed(0)
    images = IMAGES[500:900]
    with torch.no_grad():
        source, copy = (
            torch.nn.functional.normalize(net(x), dim=1)
            for x in (images, altered(images, rng, strength))
        )
    return ((copy @ source.T).argmax(1) == torch.arange(400)).float().mean().item()


def test_the_descriptor_learns_to_find_the_source_of_an_altered_copy(tmp_path):
    before, after = fitted(copy_detection.Trainer(), tmp_path, steps=150)
    assert recall(after) > 0.5
    assert recall(after) > recall(before) + 0.1


def test_a_mixed_view_must_match_its_two_sources_and_the_entropy_term_spreads():
    class Given(torch.nn.Module):
        """Returns chosen descriptors, whatever it is shown."""

        def __init__(self, *answers):
            super().__init__()
            self.answers = list(answers)

        def forward(self, x):
            return self.answers.pop(0)

    from leakboard.lessons import Batch

    b = 6
    batch = Batch(IMAGES[:b], torch.zeros(b).long(), torch.arange(b), Schedule.linear())

    def loss(first, second, **params):
        trainer = copy_detection.Trainer(**params)
        return trainer.loss(Given(first, second), batch, torch.Generator().manual_seed(0)).item()

    eye = torch.eye(b)
    # All first views are mixed with the next image: descriptors between the two are best.
    sides = {
        step: loss(eye + eye.roll(step, 1), eye, mixup=1.0, entropy_weight=0.0) for step in (1, -1)
    }
    assert sides[1] < sides[-1] - 1
    # Descriptors that are close together cost more than those that are far apart.
    close = torch.ones(b, b) + 0.01 * eye
    apart = [loss(eye, second, mixup=0.0, entropy_weight=1.0) for second in (eye, close)]
    flat = [loss(eye, second, mixup=0.0, entropy_weight=0.0) for second in (eye, close)]
    assert apart[1] - flat[1] > apart[0] - flat[0] + 1


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_altered_copies_stay_in_range_and_differ_by_strength(strength):
    made = altered(IMAGES[:50], torch.Generator().manual_seed(0), strength)
    assert made.shape == IMAGES[:50].shape
    assert made.abs().max() <= 1
    assert torch.equal(made, IMAGES[:50]) == (strength == 0)
