"""AMG against truth: exact denoisers of a finite set, and members placed by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from leakboard import networks, plugins
from leakboard.alarm import Threshold, Watch, look, scales
from leakboard.defenses.amg import Defense
from leakboard.diffusion import Parts, Schedule, sample
from leakboard.features import Points, Space
from leakboard.oracles import Empirical, draw
from leakboard.randomness import PerImage

SCHEDULE = Schedule.linear()
MEMBERS = draw(100, seed=1)
PIXELS = plugins.load("extractors", "pixels", {})
LABELS = torch.arange(100) % 10
KNOWS = Empirical(MEMBERS, SCHEDULE)


def space(images: Tensor = MEMBERS, **more) -> Space:
    labels = torch.arange(len(images)) % 10
    return Space(PIXELS.features, PIXELS.measure, images, labels, **more)


def parts(images: Tensor = MEMBERS, **more) -> Parts:
    return Parts([Empirical(images, SCHEDULE)], members=images, space=space(images, **more))


def noised(images: Tensor, t: int, seed: int = 0) -> Tensor:
    eps = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return SCHEDULE.noised(images, eps, torch.tensor(t))


def nl2(images: Tensor, members: Tensor = MEMBERS, k: int = 50) -> Tensor:
    """By brute force: d_1 / (1/2 mean of the k smallest), (n,) float64."""
    near = torch.cdist(images.flatten(1).double(), members.flatten(1).double()).sort(1).values
    return near[:, 0] / (0.5 * near[:, :k].mean(1))


class Says:
    """Predicts the noise that makes x0hat the given pictures."""

    schedule = SCHEDULE

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures

    def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
        abar = SCHEDULE.at(t, x)
        return (x - abar.sqrt() * self.pictures) / (1 - abar).sqrt()


def drawn(defense: Defense, made_of: Parts, n: int = 60, steps: int = 50) -> Tensor:
    noise = PerImage("amg", indices=range(n))
    return sample(defense.guard(made_of), noise, (1, 8, 8), steps=steps)


# --- nL2: checks 10 and 15, T16 ------------------------------------------------------------------


def test_nl2_is_that_of_brute_force_and_lies_between_0_and_2():
    images = torch.cat([draw(30, seed=2), MEMBERS[:30] + 0.05 * draw(30, seed=3)])
    seen = look(PIXELS.features(images), space().members, "rms", 50)
    torch.testing.assert_close(-seen.sigma.double(), nl2(images), rtol=1e-5, atol=1e-5)
    assert (seen.nearest[30:] == torch.arange(30)).all()
    assert ((-seen.sigma > 0) & (-seen.sigma <= 2)).all()


def test_equal_distances_give_2_and_a_copy_0():
    corners = torch.eye(64).reshape(64, 1, 8, 8)
    center = torch.zeros(1, 1, 8, 8)
    seen = look(PIXELS.features(center), space(corners).members, "rms", 50)
    assert -seen.sigma.item() == pytest.approx(2.0, abs=1e-6)
    copy = look(PIXELS.features(corners[:1]), space(corners).members, "rms", 50)
    assert -copy.sigma.item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("times", [1, 60])
def test_an_exact_copy_has_a_finite_gradient_however_often_it_is_among_the_members(times):
    members = torch.cat([MEMBERS[:1].repeat(times, 1, 1, 1), MEMBERS[1:]])
    features = PIXELS.features(MEMBERS[:1]).requires_grad_()
    seen = look(features, space(members).members, "rms", 50)
    (gradient,) = torch.autograd.grad(seen.sigma.sum(), features)
    assert -1e-3 <= seen.sigma.item() <= 0
    assert (gradient == 0).all()
    guarded = Defense(scale=1e6).guard(parts(members))
    assert guarded(noised(MEMBERS[:4], 0), torch.tensor(0), step=0).isfinite().all()


def test_the_gradient_points_straight_away_from_the_nearest_member():
    # Only because the denominator is held fixed: otherwise the cosine is about 0.97.
    features = PIXELS.features(draw(20, seed=4)).requires_grad_()
    seen = look(features, space().members, "rms", 50)
    (gradient,) = torch.autograd.grad(-seen.sigma.sum(), features)
    away = (features - PIXELS.features(MEMBERS)[seen.nearest]).detach()
    cosine = functional.cosine_similarity(gradient, away, dim=1)
    torch.testing.assert_close(cosine, torch.ones(20), rtol=0, atol=1e-5)


# --- the guidance: check 11 ----------------------------------------------------------------------


@pytest.mark.parametrize("t", [20, 100, 300])
def test_a_small_push_makes_nearly_every_triggered_sample_less_similar(t):
    mixed = 0.7 * MEMBERS.repeat(2, 1, 1, 1) + 0.3 * draw(200, seed=5)
    x, level = noised(mixed, t), torch.tensor(t)
    says = Says(mixed)
    eps = says(x, level)
    guarded = Defense(neighbors=50, scale=1e-3).guard(replace(parts(), denoisers=[says]))
    pushed = guarded(x, level, step=0)
    moved = (pushed != eps).flatten(1).any(1)
    before, after = (nl2(SCHEDULE.clean(x, e, level).double()) for e in (eps, pushed))
    assert moved.sum() >= 100
    assert (after[moved] > before[moved]).double().mean() > 0.99


def test_the_push_is_the_formula_of_the_paper():
    # eps + c3 sqrt(1 - abar_t) grad_{x_t} sigma, with x0hat's noise held fixed: by the chain rule
    # the gradient at x_t is that at x0hat over sqrt(abar_t).
    t, made_of = torch.tensor(200), parts()
    x = noised(0.5 * MEMBERS[:10] + 0.5 * draw(10, seed=6), 200)
    eps = made_of.denoisers[0](x, t)
    clean = SCHEDULE.clean(x, eps, t).requires_grad_()
    near = torch.cdist(clean.flatten(1), MEMBERS.flatten(1))
    values, index = near.sort(1)
    mean = values[:, :50].mean(1).detach()
    sigma = -(clean - MEMBERS[index[:, 0]]).flatten(1).norm(dim=1) / (0.5 * mean)
    (gradient,) = torch.autograd.grad(sigma.sum(), clean)
    abar = SCHEDULE.abar[200]
    expected = eps + 7.0 * (1 - abar).sqrt() * gradient / abar.sqrt()
    fixed = Defense(scale=7.0, adaptive=False, gate=False).guard(made_of)
    torch.testing.assert_close(fixed(x, t, step=0), expected, rtol=1e-4, atol=1e-4)
    # The adaptive c3 multiplies by how far sigma is beyond the threshold.
    excess = sigma.detach() + 1.95 + (1.5 - 1.95) * (1 - 0.2) ** 2
    adaptive = Defense(scale=7.0, gate=False).guard(made_of)
    expected = eps + excess.reshape(-1, 1, 1, 1) * (expected - eps)
    torch.testing.assert_close(adaptive(x, t, step=0), expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_never_asks_the_denoiser():
    class Refusing:
        schedule = SCHEDULE

        def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
            assert not x.requires_grad
            return KNOWS(x, t)

    made_of = replace(parts(), denoisers=[Refusing()])
    guarded = Defense(gate=False).guard(made_of)
    guarded(noised(MEMBERS[:5], 100), torch.tensor(100), step=0)


# --- thresholds: check 12 ------------------------------------------------------------------------


def test_the_released_threshold_of_nl2_has_its_published_values():
    released = Threshold.of(False, "main", "exponential", None, None)
    u = torch.tensor([0.0, 25.0, 50.0, 100.0, 249.0], dtype=torch.float64) / 250
    expected = torch.tensor([1.5, 1.709, 1.821, 1.913, 1.949], dtype=torch.float64)
    torch.testing.assert_close(-released.at(u), expected, rtol=0, atol=6e-4)
    strong = Threshold.of(False, "strong", "exponential", None, None)
    assert -strong.at(torch.tensor(0.0)).item() == pytest.approx(1.7)


def test_the_released_threshold_of_cosines_has_its_published_values():
    released = Threshold.of(True, "main", "exponential", None, None)
    u = torch.tensor([1.0, 101.0, 201.0, 501.0, 981.0], dtype=torch.float64) / 1000
    expected = torch.tensor([0.3995, 0.3604, 0.3366, 0.3082, 0.3007], dtype=torch.float64)
    torch.testing.assert_close(released.at(u), expected, rtol=0, atol=6e-5)


@pytest.mark.parametrize("form", ["parabolic", "exponential"])
@pytest.mark.parametrize("cosine", [False, True])
def test_the_threshold_rises_as_the_noise_falls(form, cosine):
    threshold = Threshold.of(cosine, "main", form, None, None)
    there = threshold.at(torch.linspace(0, 1, 200))
    assert (there.diff() < 0).all()
    assert there[0].item() == pytest.approx(0.4 if cosine else -1.5)
    assert there[-1].item() == pytest.approx(0.3 if cosine else -1.95, abs=1e-3)
    constant = Threshold.of(cosine, "main", "constant", None, None)
    assert (constant.at(torch.linspace(0, 1, 5)) == constant.at(torch.tensor(0.0))).all()


def test_the_parabola_is_one():
    threshold = Threshold.of(False, "main", "parabolic", None, None)
    second = threshold.at(torch.linspace(0, 1, 50, dtype=torch.float64)).diff().diff()
    torch.testing.assert_close(second, second[:1].expand(48), rtol=1e-9, atol=0)


# --- classes: check 13 ---------------------------------------------------------------------------


def test_what_is_taken_from_the_guidance_never_exceeds_what_there_is():
    sigma = torch.linspace(-0.5, 1, 301)
    for s0 in (1.0, 1.5, 7.5):
        s1, s2 = scales(sigma, s0)
        assert ((s1 >= 0) & (s2 >= 0) & (s1 + s2 <= s0 - 1 + 1e-6)).all()
    s1, s2 = scales(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.9]), 7.5)
    expected = torch.tensor([[1.3, 2.6, 3.9, 5.2, 6.5, 6.5], [1.7333, 2.6, 2.6, 1.3, 0.0, 0.0]])
    torch.testing.assert_close(torch.stack([s1, s2]), expected, rtol=0, atol=1e-4)


def test_weakening_takes_back_the_class_and_turns_on_the_neighbor_s():
    x, t = noised(MEMBERS[:6], 100), torch.tensor(100)
    said = {None: torch.zeros_like(x), 0: torch.ones_like(x), 1: torch.full_like(x, 2.0)}

    class Told:
        schedule, guidance, classes = SCHEDULE, 7.5, torch.zeros(6, dtype=torch.long)

        def given(self, x: Tensor, t: Tensor, classes: Tensor | None) -> Tensor:
            each = [None] * len(x) if classes is None else classes.tolist()
            return torch.stack([said[c][i] for i, c in enumerate(each)])

        def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
            return KNOWS(x, t)

    def constant(x: Tensor) -> Tensor:  # sigma = 0.3 for everyone, and no gradient
        unit = torch.tensor([1.0, 0.0]) if len(x) == 6 else torch.tensor([0.3, 0.91**0.5])
        return unit + 0 * x.flatten(1)[:, :2]

    there = Space(constant, "cosine", MEMBERS, torch.ones(100, dtype=torch.long))
    made_of = Parts([Told()], members=MEMBERS, space=there)
    eps = KNOWS(x, t)
    guarded = Defense(weaken=True, near=0.2, far=0.1).guard(made_of)
    # s1 = 3.9 times the own class's direction (1), s2 = 2.6 times the neighbor's (2)
    torch.testing.assert_close(guarded(x, t, step=0), eps - 3.9 * 1 - 2.6 * 2, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"sampling\.guidance above 1"):
        Defense(weaken=True).guard(parts())


# --- where neighbors are looked for: check 14 ----------------------------------------------------


def test_clean_members_find_the_source_of_a_noised_image_and_noised_members_do_not():
    images = 2 * torch.rand(2000, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1
    made_of = space(images)
    x, t = noised(images[:50], 500, seed=1), torch.tensor(500)
    scaled = x / SCHEDULE.abar[500].sqrt()  # the clean image, and noise
    own = torch.arange(50)
    assert (made_of.members.nearest(PIXELS.features(scaled), 1).index[:, 0] == own).all()
    among = Defense(nn_space="noised").noised(made_of, t, SCHEDULE)
    found = among.nearest(PIXELS.features(x), 1).index[:, 0]
    assert (found == own).double().mean() < 0.1
    low = Defense(nn_space="noised").noised(made_of, torch.tensor(100), SCHEDULE)
    near = low.nearest(PIXELS.features(noised(images[:50], 100, seed=1)), 1).index[:, 0]
    assert (near == own).all()


def test_noised_members_are_the_same_at_every_call_and_have_other_noise_at_other_levels():
    def noise(t: int) -> Tensor:
        there = Defense(nn_space="noised").noised(space(), torch.tensor(t), SCHEDULE).features[0]
        abar, clean = SCHEDULE.abar[t], space().members.features[0]
        return ((there - abar.sqrt() * clean) / (1 - abar).sqrt()).flatten()

    assert torch.equal(noise(300), noise(300))
    both = torch.stack([noise(300), noise(301)])
    assert both.corrcoef()[0, 1].abs() < 0.05


def test_mirrored_members_count_where_mirrored_images_were_trained_on():
    looked = PIXELS.features(MEMBERS[:20].flip(-1))
    plain = look(looked, space().members, "rms", 50)
    mirrored = look(looked, space(mirrored=True).members, "rms", 50)
    assert (plain.sigma < -0.5).all()
    assert (mirrored.sigma > -1e-3).all()
    assert (mirrored.nearest == torch.arange(20)).all()


# --- a whole drawing: check 16 -------------------------------------------------------------------


@pytest.mark.parametrize("weak", [{"scale": 0.0}, {"near": 0.0, "far": 0.0}])
def test_at_zero_strength_or_without_alarm_every_picture_is_that_of_no_defense(weak):
    undefended = sample(KNOWS, PerImage("amg", indices=range(8)), (1, 8, 8), steps=20)
    assert torch.equal(drawn(Defense(**weak), parts(), 8, 20), undefended)


def test_samples_without_alarm_are_untouched_to_the_bit_and_the_others_leave_the_members():
    strangers = draw(100, seed=8)
    knows = replace(parts(torch.cat([MEMBERS[:50], strangers[:50]])), space=space(MEMBERS[:50]))
    undefended = drawn(Defense(scale=0.0), knows)
    defended = drawn(Defense(near=0.9, far=0.9, scale=300.0), knows)
    copied = nl2(undefended, MEMBERS[:50]) < 0.5
    assert 15 < copied.sum() < 45
    same = (undefended == defended).flatten(1).all(1)
    assert same.sum() >= 5  # never near a member: the exact denoiser draws them from the strangers
    assert not (same & copied).any()
    # The exact denoiser jumps onto a member; from an exact copy there is no direction away.
    left = nl2(defended, MEMBERS[:50])[copied] < 0.8
    assert left.double().mean() < 0.2


def test_a_batch_follows_each_sample_on_its_own():
    defense = Defense(scale=100.0, trigger=1.6, quiet=2, pause=3, neighbors=20)
    together = drawn(defense, parts(), 12)
    for i in (0, 5, 11):
        noise = PerImage("amg", indices=[i])
        alone = sample(defense.guard(parts()), noise, (1, 8, 8))
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)


def test_two_batches_in_a_row_do_not_meet():
    guarded = Defense(scale=100.0, trigger=1.6, quiet=2, pause=3, neighbors=20).guard(parts())
    noise = lambda: PerImage("amg", indices=range(6))  # noqa: E731
    first, second = (sample(guarded, noise(), (1, 8, 8)) for _ in "ab")
    assert torch.equal(first, second)


# --- who is watched ------------------------------------------------------------------------------


def test_neighbors_are_looked_up_only_for_samples_that_are_watched(monkeypatch):
    looked: list[int] = []
    nearest = Points.nearest

    def counted(self: Points, features: Tensor, k: int):
        looked.append(len(features))
        return nearest(self, features, k)

    monkeypatch.setattr(Points, "nearest", counted)
    calm = {"near": 0.0, "far": 0.0}  # nobody ever gives alarm
    drawn(Defense(**calm, quiet=0), parts(), 5, 30)
    assert looked == [5] * 30
    looked.clear()
    drawn(Defense(**calm, quiet=3, pause=10), parts(), 5, 30)
    assert looked == [5] * 9  # steps 0 to 2, 13 to 15, 26 to 28
    looked.clear()
    drawn(Defense(scale=0.0), parts(), 5, 30)
    assert looked == []


def test_alarm_starts_the_count_anew_and_each_sample_counts_alone():
    watch, rows = Watch(quiet=2, pause=2), torch.arange(2)
    alarm = torch.tensor([[0, 1], [0, 0], [1, 0], [0, 0], [0, 0], [0, 0]]).bool()
    armed = torch.zeros(2).bool()
    seen = []
    for step in range(6):
        rows = watch.rows(step, 2)
        seen.append(rows.tolist())
        if len(rows):
            watch.note(step, 2, rows, alarm=alarm[step][rows], armed=armed[rows])
    # 0: calm at steps 0 and 1, rests at 2 and 3; 1: alarm at 0, calm at 1 and 2, rests at 3 and 4
    assert seen == [[0, 1], [0, 1], [1], [], [0], [0, 1]]
    assert watch.rows(6, 2).tolist() == [1]


def test_a_step_asked_again_is_answered_as_before_and_step_0_begins_anew():
    watch = Watch(quiet=1, pause=5)
    everyone = torch.arange(3)
    quiet = {"alarm": torch.zeros(3).bool(), "armed": torch.ones(3).bool()}
    watch.note(0, 3, everyone, **quiet)
    assert watch.rows(1, 3).tolist() == []
    assert watch.rows(1, 3).tolist() == []
    assert watch.armed(1, 3, everyone).all()
    assert watch.rows(1, 2).tolist() == [0, 1]  # another batch
    assert watch.rows(0, 3).tolist() == [0, 1, 2]
    assert watch.rows(7, 3).tolist() == [0, 1, 2]  # nothing is known of step 6


def test_guidance_waits_for_its_trigger_and_then_stays_armed():
    made_of, x = parts(), noised(MEMBERS[:6], 0)
    near = 0.75 * MEMBERS[:6] + 0.25 * draw(6, seed=9)  # nL2 of about 1
    values = nl2(near)
    assert ((values > 0.6) & (values < 1.5)).all()

    says = Says(near)
    guarded = Defense(trigger=0.5, scale=10.0).guard(replace(made_of, denoisers=[says]))
    t = torch.tensor(100)
    x = noised(near, 100)
    assert torch.equal(guarded(x, t, step=0), says(x, t))  # near enough for the gate alone
    says.pictures = MEMBERS[:6] + 1e-3  # nL2 below the trigger
    assert not torch.equal(guarded(x, t, step=1), says(x, t))
    says.pictures = near
    assert not torch.equal(guarded(x, t, step=2), says(x, t))
    assert torch.equal(guarded(x, t, step=0), says(x, t))


# --- spaces: check 17 ----------------------------------------------------------------------------


def test_a_descriptor_knows_an_image_as_itself_and_notices_another_range_of_pixels():
    torch.manual_seed(0)
    net = networks.build("encoder", {"width": 8, "dim": 32}, 8, 1, outputs=2).eval()
    descriptor = plugins.load("extractors", "descriptor", {})
    with torch.no_grad():
        one, again = (descriptor.features(MEMBERS, net) for _ in "ab")
        shifted = descriptor.features((MEMBERS + 1) / 2, net)  # in [0, 1] instead of [-1, 1]
    torch.testing.assert_close((one * again).sum(1), torch.ones(100), rtol=0, atol=1e-5)
    assert ((one * shifted).sum(1) < 0.99).double().mean() > 0.95


def test_the_cosine_of_an_extractor_is_guided_through_it():
    torch.manual_seed(0)
    net = networks.build("encoder", {"width": 8, "dim": 32}, 8, 1, outputs=2).eval()
    net.requires_grad_(False)
    descriptor = plugins.load("extractors", "descriptor", {})

    def extract(x: Tensor) -> Tensor:
        return descriptor.features(x, net)

    made_of = replace(parts(), space=Space(extract, "cosine", MEMBERS, LABELS))
    mixed, t = 0.8 * MEMBERS[:40] + 0.2 * draw(40, seed=11), torch.tensor(100)
    says, x = Says(mixed), noised(mixed, 100)
    eps = says(x, t)
    weak = Defense(scale=1e-2, gate=False, adaptive=False)
    pushed = weak.guard(replace(made_of, denoisers=[says]))(x, t, step=0)
    before, after = (
        look(extract(SCHEDULE.clean(x, e, t)), made_of.space.members, "cosine", 1).sigma
        for e in (eps, pushed)
    )
    assert before.max() <= 1 + 1e-5
    assert (after < before).double().mean() > 0.95
