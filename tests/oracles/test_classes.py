"""Networks that know classes: what they are taught, how they are asked, and what leaks of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from leakboard import artefacts, networks, oracles, plugins, queries, sampling
from leakboard.attacks.loss import Attack
from leakboard.defenses import cpsample
from leakboard.diffusion import Denoiser, Parts, Schedule, sample
from leakboard.digests import digest
from leakboard.features import Extract, Space
from leakboard.images import to_float, to_pixels
from leakboard.lessons import Batch, Lesson
from leakboard.measures.membership import auc
from leakboard.randomness import PerImage, generator
from leakboard.trainers.class_conditional import Trainer
from leakboard.training import Training

DEVICE, SCHEDULE, SHAPE = networks.device(), Schedule.linear(), (1, 8, 8)
NOISE = {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
MEMBERS = to_float(to_pixels(oracles.draw(24, seed=1))).to(DEVICE)
LABELS = (torch.arange(24) % 3).to(DEVICE)
UNET = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
}


class Net:
    """Stands where a network is expected: the exact denoiser of each class and, last, of all.

    `asked` are the classes that it was asked about, call by call.
    """

    def __init__(self, images=MEMBERS, labels=LABELS, classes=3):
        self.config = SimpleNamespace(num_class_embeds=classes + 1)
        self.asked = []
        self.exact = [oracles.Empirical(images[labels == c], SCHEDULE) for c in range(classes)]
        self.exact.append(oracles.Empirical(images, SCHEDULE))

    def __call__(self, x, t, class_labels):
        self.asked.append(class_labels.tolist())
        every = torch.stack([exact(x, t) for exact in self.exact])
        return SimpleNamespace(sample=every[class_labels, torch.arange(len(x), device=x.device)])


class Unknowing:
    """The same for a network without classes; it takes no `class_labels`."""

    config = SimpleNamespace(num_class_embeds=None)
    exact = oracles.Empirical(MEMBERS, SCHEDULE)

    def __call__(self, x, t):
        return SimpleNamespace(sample=self.exact(x, t))


def noised(t=700, n=6):
    eps = torch.randn(n, *SHAPE, generator=generator("noised", t)).to(DEVICE)
    return SCHEDULE.noised(MEMBERS[:n], eps, torch.tensor(t)), torch.tensor(t)


def long(*classes):
    return torch.tensor(classes, device=DEVICE)


# --- how it is taught ----------------------------------------------------------------------------


class Heard:
    """A network that remembers what classes it was told, and says nothing."""

    config = SimpleNamespace(num_class_embeds=4)

    def __call__(self, x, t, class_labels):
        self.told = class_labels
        return SimpleNamespace(sample=torch.zeros_like(x))


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.6])
def test_the_share_of_classes_that_are_left_out_is_the_param_and_the_rest_is_told(dropout):
    n, heard = 6000, Heard()
    labels = torch.arange(n) % 3
    batch = Batch(torch.zeros(n, 1, 2, 2), labels, torch.arange(n), SCHEDULE)
    Trainer(dropout=dropout).loss(heard, batch, generator("a"))
    left_out = heard.told == 3
    assert torch.equal(heard.told[~left_out], labels[~left_out])
    error = 4 * (dropout * (1 - dropout) / n) ** 0.5
    assert left_out.float().mean().item() == pytest.approx(dropout, abs=error)
    for c in range(3):  # whatever the class
        assert left_out[labels == c].float().mean().item() == pytest.approx(dropout, abs=2 * error)


def test_which_classes_are_left_out_changes_from_batch_to_batch():
    batch, told = Batch(torch.zeros(64, 1, 2, 2), torch.zeros(64).long(), None, SCHEDULE), []
    for name in "aab":
        heard = Heard()
        Trainer(dropout=0.5).loss(heard, batch, generator(name))
        told.append(heard.told)
    assert torch.equal(told[0], told[1])
    assert not torch.equal(told[0], told[2])


def test_the_gradient_reaches_the_embeddings_of_the_classes_that_were_told_and_no_other():
    labels = torch.tensor([0, 2, 2, 0] * 4)
    outputs = Trainer().outputs(torch.tensor([0, 1, 2]))
    assert outputs == {"num_class_embeds": 4}
    for dropout, moved in ((0.0, [True, False, True, False]), (0.5, [True, False, True, True])):
        torch.manual_seed(0)
        net = networks.build("denoiser", UNET, 8, 1, **outputs)
        batch = Batch(oracles.draw(16), labels, torch.arange(16), SCHEDULE)
        Trainer(dropout=dropout).loss(net, batch, generator("a")).backward()
        assert (net.class_embedding.weight.grad != 0).any(1).tolist() == moved


ROWS = torch.where(torch.arange(8) % 2 == 0, -1.0, 1.0)[:, None].expand(1, 8, 8)
COLUMNS = ROWS.transpose(1, 2)


def stripes(classes):
    """Pictures striped in columns above all (class 0) or in rows (class 1), (n, 1, 8, 8)."""
    own, other = torch.rand(2, len(classes), 1, 1, 1, generator=generator("stripes"))
    own, other = 0.3 + 0.4 * own, 0.3 * other
    rows = classes[:, None, None, None] == 1
    return torch.where(rows, own, other) * ROWS + torch.where(rows, other, own) * COLUMNS


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A network really trained on columns, its class 0, and rows, its class 1."""
    folder, labels = tmp_path_factory.mktemp("taught"), torch.arange(128) % 2
    settings = {
        "steps": 200,
        "batch_size": 32,
        "lr": 8e-3,
        "lr_decay": "cosine",
        "warmup": 10,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "ema_decay": 0.95,
        "flip": False,
        "stop_after": 1.0,
    }
    blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}
    architecture = {**UNET, **blocks, "block_out_channels": [16]}
    torch.manual_seed(0)
    net = networks.build("denoiser", architecture, 8, 1, **Trainer().outputs(labels))
    return Training(
        net,
        Trainer(dropout=0.2),
        [Lesson("members", stripes(labels), labels, torch.arange(128))],
        SCHEDULE,
        settings,
        names=("taught",),
        where="taught",
        checkpoint=folder / "k",
        curve=folder / "c.csv",
        device=DEVICE,
    ).run()


def rowed(net, class_, guidance=1.0, n=32):
    """How much more its pictures of a class are striped in rows than in columns, (n,)."""
    asked = None if class_ is None else torch.full((n,), class_, device=DEVICE)
    denoiser, noise = Denoiser(net, SCHEDULE, asked, guidance), PerImage("s", indices=range(n))
    drawn = sample(denoiser, noise, SHAPE, steps=10, clip_sample=True, device=DEVICE).cpu()
    return ((ROWS - COLUMNS) * drawn).mean((1, 2, 3))


def test_a_trained_network_draws_pictures_of_the_class_that_it_is_asked_for(taught):
    columns, rows = (rowed(taught, c) for c in (0, 1))
    assert (columns < 0).float().mean() > 0.7
    assert (rows > 0).float().mean() > 0.7
    assert rows.mean() - columns.mean() > 0.25


def test_a_trained_network_asked_without_a_class_draws_of_both(taught):
    any_class = rowed(taught, None)
    assert 0.15 < (any_class > 0).float().mean() < 0.85
    assert torch.equal(any_class, rowed(taught, 1, guidance=0.0))
    assert torch.equal(any_class, rowed(taught, 7))  # a class that nobody taught it


def test_guidance_moves_the_classes_of_a_trained_network_further_apart(taught):
    gaps = [(rowed(taught, 1, w).mean() - rowed(taught, 0, w).mean()).item() for w in (1, 2, 4)]
    assert gaps[1] > gaps[0] + 0.1
    assert gaps[2] > gaps[1] + 0.1


# --- how it is asked -----------------------------------------------------------------------------


def test_guidance_1_is_the_prediction_of_the_class_bit_for_bit_and_asks_once():
    x, t = noised()
    net, classes = Net(), long(0, 1, 2, 0, 1, 2)
    said = Denoiser(net, SCHEDULE, classes)(x, t, step=0)
    assert net.asked == [classes.tolist()]
    for i, c in enumerate(classes.tolist()):
        own = net.exact[c](x, t)
        assert torch.equal(said[i], own[i])
    assert not torch.allclose(said, net.exact[-1](x, t), atol=1e-3)


def test_guidance_0_is_the_prediction_without_a_class():
    x, t = noised()
    net = Net()
    said = Denoiser(net, SCHEDULE, long(0, 1, 2, 0, 1, 2), guidance=0.0)(x, t, step=0)
    assert torch.equal(said, net.exact[-1](x, t))


@pytest.mark.parametrize("w", [0.5, 1.5, 3.0, 7.5])
def test_guidance_w_is_the_free_prediction_and_w_times_the_way_to_that_of_the_class(w):
    x, t = noised()
    net, classes = Net(), long(0, 1, 2, 0, 1, 2)
    own = Denoiser(net, SCHEDULE, classes)(x, t)
    free = Denoiser(net, SCHEDULE)(x, t)
    said = Denoiser(net, SCHEDULE, classes, guidance=w)(x, t)
    torch.testing.assert_close(said, (1 - w) * free + w * own, rtol=1e-4, atol=1e-5)
    far = (said - free).flatten(1).norm(dim=1) / (own - free).flatten(1).norm(dim=1)
    torch.testing.assert_close(far, torch.full_like(far, w), rtol=1e-3, atol=0)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_a_class_that_was_never_taught_is_asked_about_without_a_class(guidance):
    x, t = noised()
    net = Net()
    said = Denoiser(net, SCHEDULE, long(0, 3, 1, 99, 2, -1), guidance)(x, t, step=0)
    assert net.asked[-1] == [0, 3, 1, 3, 2, 3]
    free = Denoiser(net, SCHEDULE)(x, t)
    assert torch.equal(said[[1, 3, 5]], free[[1, 3, 5]])


def test_a_network_without_classes_ignores_them_and_guidance():
    x, t = noised()
    plain = Denoiser(Unknowing(), SCHEDULE)
    assert plain.taught == 0
    bound = replace(plain, classes=long(0, 1, 2, 0, 1, 2), guidance=5.0)
    assert torch.equal(bound(x, t, step=0), plain(x, t, step=0))


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_cpsample_pushes_after_the_guidance_was_added(guidance):
    x, t = noised()
    coins = torch.arange(24) % 2
    classifier = oracles.RandomLabelPosterior(MEMBERS, coins.to(DEVICE), SCHEDULE)
    denoiser = Denoiser(Net(), SCHEDULE, long(0, 1, 2, 0, 1, 2), guidance)

    class Silent:
        schedule = SCHEDULE

        def __call__(self, x, t, *, step):
            return torch.zeros_like(x)

    defense = cpsample.Defense(alpha=0.5, scale=2.0)
    said, push = (
        defense.guard(Parts([inner], classifier))(x, t, step=0) for inner in (denoiser, Silent())
    )
    combined = denoiser(x, t, step=0)
    assert (push.flatten(1).norm(dim=1) > 0).all()
    assert torch.equal(said, combined + push)


# --- what is drawn -------------------------------------------------------------------------------


def target(net=None, guidance=1.0, method="none", **params):
    denoisers = [Denoiser(net or Net(), SCHEDULE, guidance=guidance)]
    extract = Extract({"method": "pixels", "params": {}}, [])
    space = Space(extract.features, extract.measure, MEMBERS, LABELS)
    parts = Parts(denoisers, members=MEMBERS, space=space)
    defense = plugins.load("defenses", method, params)
    return sampling.Target(defense, denoisers, parts, SHAPE, LABELS.cpu().unique())


def spec(batch_size=5, steps=6):
    how = {"sampler": "ddim", "steps": steps, "batch_size": batch_size, "clip_sample": False}
    return {"track": "test", "seed": 0, "sampling": how}


def class_of(pixels):
    """The class of the member nearest to each picture (n, h, w, c) uint8."""
    far = torch.cdist(to_float(pixels).flatten(1), MEMBERS.cpu().flatten(1))
    return LABELS.cpu()[far.argmin(1)]


def test_every_batch_is_asked_about_its_own_classes():
    made, (x, t) = target(), noised()
    one, other = (made.predictor(c) for c in (long(0, 0, 0, 1, 1, 1), long(2, 2, 2, 2, 2, 2)))
    exact = made.denoisers[0].net.exact
    assert torch.equal(other(x, t, step=0), exact[2](x, t))  # in whatever order they are asked
    assert torch.equal(one(x, t, step=0), torch.cat([exact[0](x, t)[:3], exact[1](x, t)[3:]]))
    assert torch.equal(made.predictor()(x, t, step=0), exact[3](x, t))


def test_pictures_get_the_members_classes_in_turn_by_their_own_number():
    made = replace(target(Net(classes=8)), classes=torch.tensor([2, 5, 7]))
    whole = made.asked(range(10))
    assert whole.tolist() == [2, 5, 7, 2, 5, 7, 2, 5, 7, 2]
    for start in range(10):
        assert torch.equal(made.asked(range(start, 10)), whole[start:])
    # A class that some network was never taught is asked of none.
    assert replace(made, denoisers=[*made.denoisers, Denoiser(Net(), SCHEDULE)]).asked(
        range(3)
    ).tolist() == [2, 2, 2]
    for unasked in (target(Unknowing()), replace(target(), classes=torch.tensor([3, 4]))):
        assert unasked.asked(range(3)).tolist() == [-1, -1, -1]
        assert (sampling.draw(unasked, spec(), 0, 3)["asked"] == -1).all()


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_every_picture_is_of_the_class_that_it_was_drawn_of_in_any_batch_and_shard(guidance):
    made = target(guidance=guidance)
    whole = sampling.draw(made, spec(), 0, 18)
    assert whole["asked"].tolist() == [0, 1, 2] * 6
    assert (class_of(whole["images"]).numpy() == whole["asked"]).all()
    for batch_size, start, stop in ((1, 0, 18), (18, 0, 18), (4, 7, 16)):
        part = sampling.draw(made, spec(batch_size), start, stop)
        assert np.array_equal(part["images"], whole["images"][start:stop])
        assert np.array_equal(part["asked"], whole["asked"][start:stop])


def test_a_picture_that_is_drawn_again_keeps_its_class():
    # Half of each class are known to the network alone: those pass, copies of members do not.
    strangers = to_float(to_pixels(oracles.draw(24, seed=2))).to(DEVICE)
    both, labels = torch.cat([MEMBERS, strangers]), LABELS.repeat(2)
    made = target(Net(both, labels), method="rejection", tau=0.9, tries=8)
    drawn = sampling.draw(made, spec(7), 0, 18)
    assert drawn["tries"].max() > 1
    far = torch.cdist(to_float(drawn["images"]).flatten(1), both.cpu().flatten(1))
    assert (labels.cpu()[far.argmin(1)].numpy() == drawn["asked"]).all()
    # So does what a service says: each query's own class, whoever else is asked again.
    queries, classes = both[:12], labels[:12]
    said = made.service(classes, False).vary(queries, [900, 400], PerImage("q", indices=range(12)))
    far = torch.cdist(said.flatten(1), both.flatten(1))
    assert torch.equal(labels[far.argmin(1)], classes)
    for i in (0, 5, 11):
        service, rng = made.service(classes[i : i + 1], False), PerImage("q", indices=[i])
        assert torch.equal(service.vary(queries[i : i + 1], [900, 400], rng)[0], said[i])


# --- what is attacked ----------------------------------------------------------------------------

AUDITED = to_pixels(torch.cat([MEMBERS, oracles.draw(24, seed=3).to(DEVICE)]))
CLASSES = np.tile(np.arange(24) % 3, 2)
MEMBER = np.arange(48) < 24


def scores(classes, net=None):
    raw, spec = Denoiser(net or Net(), SCHEDULE), {"track": "t", "attack": "loss", "seed": 0}
    attack = Attack(t=150, draws=4)
    return queries.answers(
        attack,
        lambda asked: replace(raw, classes=asked),
        AUDITED,
        classes,
        np.arange(48),
        spec,
    )


def test_every_batch_of_audited_images_is_attacked_with_its_own_classes(monkeypatch):
    monkeypatch.setattr(queries, "AUDITED", 7)
    given, seen = [], []

    class Watching:
        def score(self, target, images, rng):
            seen.append(target)
            return torch.arange(len(images)) + 100.0 * len(seen)

    def made(classes):
        given.append(classes.tolist())
        return len(given)

    labels = np.random.default_rng(0).integers(0, 10, 48)
    spec = {"track": "t", "attack": "a", "seed": 0}
    found = queries.answers(Watching(), made, AUDITED, labels, np.arange(48), spec)
    assert given == [labels[i : i + 7].tolist() for i in range(0, 48, 7)]
    assert seen == list(range(1, 8))
    assert found.tolist() == [100.0 * (1 + i // 7) + i % 7 for i in range(48)]


def test_an_attack_that_is_given_the_classes_knows_members_and_with_wrong_ones_it_does_not():
    assert auc(scores(CLASSES), MEMBER) > 0.95
    assert auc(scores((CLASSES + 1) % 3), MEMBER) < 0.75
    everyone = auc(scores(np.full(48, 3)), MEMBER)  # without a class: as a network without classes
    assert everyone == auc(scores(CLASSES, Unknowing()), MEMBER)


def test_a_saved_network_is_attacked_raw_about_the_classes_of_each_batch(tmp_path):
    made, data = {"stage": "train", "network": "labeled"}, {"stage": "subset"}
    torch.manual_seed(0)
    net = networks.build("denoiser", UNET, 8, 1, num_class_embeds=4)
    networks.save(net, tmp_path, SCHEDULE, NOISE, artefacts.about(made))
    images, split = str(tmp_path / "images.npz"), str(tmp_path / "split.csv")
    pixels, labels = to_pixels(oracles.draw(4, seed=4)), np.array([0, 2, 0, 1])
    artefacts.write_npz(images, data, images=pixels, labels=labels)
    pools = ["members", "members", "members", "held-out"]
    artefacts.write_csv(split, pd.DataFrame({"index": range(4), "pool": pools, "half": ""}))
    asked = {
        "sees": "weights",
        "asks": "denoisers",
        "target": digest(made),
        "noise": NOISE,
        "guard": None,
        "relabeled": False,
    }
    asked["subset"] = digest(data)
    ready = queries.target(asked, [str(tmp_path / networks.WEIGHTS)], images, split)
    (x, t), classes = noised(), long(0, 2, 2, 0, 0, 2)
    with torch.no_grad():
        expected = net.to(DEVICE).eval()(x, t, class_labels=classes).sample
        assert torch.equal(ready(classes)(x, t, step=0), expected)
        assert not torch.equal(ready(classes.flip(0))(x, t, step=0), expected)
        # No member is of class 1: its embedding was never taught, and would give strangers away.
        without = net(x, t, class_labels=torch.full_like(classes, 3)).sample
        assert torch.equal(ready(torch.ones_like(classes))(x, t, step=0), without)
        # It learned other labels: what an image shows says nothing of them.
        other = queries.target(
            {**asked, "relabeled": True}, [str(tmp_path / networks.WEIGHTS)], images, split
        )
        assert torch.equal(other(classes)(x, t, step=0), without)


def test_a_defense_in_files_draws_of_its_members_classes_with_its_guidance(tmp_path):
    made, data = {"stage": "train", "network": "labeled"}, {"stage": "subset"}
    torch.manual_seed(0)
    net = networks.build("denoiser", UNET, 8, 1, num_class_embeds=6)
    networks.save(net, tmp_path, SCHEDULE, NOISE, artefacts.about(made))
    pixels, labels = to_pixels(oracles.draw(9, seed=4)), np.array([4, 0, 2, 2, 1, 4, 3, 5, 0])
    artefacts.write_npz(tmp_path / "images.npz", data, images=pixels, labels=labels)
    pools = ["members"] * 4 + ["held-out"] * 5
    table = pd.DataFrame({"index": [0, 2, 3, 5, 1, 4, 6, 7, 8], "pool": pools, "half": ""})
    artefacts.write_csv(tmp_path / "split.csv", table)
    guard = {
        "method": "rejection",
        "params": {"tau": 0.5, "tries": 2, "index": "hnsw"},
        "denoisers": [digest(made)],
        "classifier": None,
        "extractor": {"extractor": "pixels", "method": "pixels", "params": {}, "network": None},
        "mirrored": False,
        "guidance": 2.5,
        "relabeled": False,
    }
    ready = sampling.guarded(
        {"guard": guard, "noise": NOISE, "subset": digest(data)},
        [str(tmp_path / networks.WEIGHTS)],
        str(tmp_path / "images.npz"),
        str(tmp_path / "split.csv"),
    )
    assert ready.classes.tolist() == [2, 4]
    assert ready.asked(range(4)).tolist() == [2, 4, 2, 4]
    assert ready.parts.space.labels.tolist() == [4, 2, 2, 4]
    assert ready.parts.space.method == "hnsw"
    assert torch.equal(ready.parts.members.cpu(), to_float(pixels[[0, 2, 3, 5]]))
    (x, t), classes = noised(n=2), long(2, 4)
    own, free = (net.to(DEVICE).eval()(x, t, class_labels=c).sample for c in (classes, long(5, 5)))
    said = ready.predictor(classes)(x, t, step=0)
    torch.testing.assert_close(said, free + 2.5 * (own - free))
    members = to_float(pixels[[0, 2, 3, 5]]).to(DEVICE)
    near = ready.screen.similarity(members).cpu()
    torch.testing.assert_close(near, torch.ones_like(near))
    # A network that learned other labels is asked for all of those, whatever the members show.
    other = sampling.guarded(
        {"guard": {**guard, "relabeled": True}, "noise": NOISE, "subset": digest(data)},
        [str(tmp_path / networks.WEIGHTS)],
        str(tmp_path / "images.npz"),
        str(tmp_path / "split.csv"),
    )
    assert other.asked(range(7)).tolist() == [0, 1, 2, 3, 4, 0, 1]


# --- what pictures are taken for -----------------------------------------------------------------


def test_a_classifier_says_what_each_picture_is_taken_for_and_pixels_say_nothing(tmp_path):
    torch.manual_seed(0)
    net = networks.build("encoder", {"width": 8, "dim": 16}, 8, 1, outputs=5)
    about = {"stage": "train", "network": "judge"}
    networks.save(net, tmp_path, SCHEDULE, NOISE, artefacts.about(about))
    judge = {"method": "classifier-features", "params": {}, "network": digest(about)}
    pixels = to_pixels(3 * oracles.draw(300, seed=6))  # more than one batch of them
    found = Extract(judge, [str(tmp_path / networks.WEIGHTS)]).classes(pixels)["classes"]
    net = net.to(DEVICE).eval()
    with torch.no_grad():
        expected = net.logits(to_float(pixels).to(DEVICE)).argmax(1).cpu().numpy()
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) > 1
    assert Extract({"method": "pixels", "params": {}}, []).classes(pixels) == {}
