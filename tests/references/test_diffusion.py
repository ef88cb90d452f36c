"""Schedules and samplers against their published constants."""

import pytest
import torch
from diffusers import DDPMScheduler

from leakboard.diffusion import Schedule, sample, scheduler, transfer
from leakboard.oracles import Empirical, Gaussian, draw
from leakboard.randomness import PerImage

SCHEDULE = Schedule.linear()


@pytest.mark.parametrize(
    ("t", "abar"),
    [
        *((0, 0.9999), (10, 0.997807), (90, 0.913264), (100, 0.895142), (200, 0.656347)),
        *((350, 0.283183), (500, 0.077797), (999, 4.04e-5)),
    ],
)
def test_the_linear_schedule_has_the_values_of_ddpm(t, abar):
    assert SCHEDULE.abar[t].item() == pytest.approx(abar, abs=6e-7)
    reference = DDPMScheduler(1000).alphas_cumprod[t].item()
    assert SCHEDULE.abar[t].item() == pytest.approx(reference, rel=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_fifty_steps_start_at_980_and_end_at_0(sampler):
    steps = scheduler(SCHEDULE, sampler, 50, False).timesteps.tolist()
    assert steps == list(range(980, -1, -20))


def test_clean_undoes_noised():
    x, eps = torch.randn(2, 5, 1, 4, 4)
    t = torch.tensor([0, 10, 100, 500, 900])
    torch.testing.assert_close(
        SCHEDULE.clean(SCHEDULE.noised(x, eps, t), eps, t), x, rtol=1e-3, atol=1e-3
    )


def test_a_deterministic_move_of_a_gaussian_is_a_known_factor():
    s, t = 20, 300
    a, b = SCHEDULE.abar[s], SCHEDULE.abar[t]
    factor = (a * b).sqrt() + ((1 - a) * (1 - b)).sqrt()
    x = torch.randn(3, 1, 4, 4)
    torch.testing.assert_close(transfer(Gaussian(SCHEDULE), x, s, t), factor * x)
    torch.testing.assert_close(transfer(Gaussian(SCHEDULE), x, t, s), factor * x)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_the_exact_denoiser_of_a_set_draws_that_set(sampler):
    images = draw(20, seed=0)
    drawn = sample(
        Empirical(images, SCHEDULE), PerImage("s", indices=range(40)), (1, 8, 8), sampler=sampler
    )
    distance = torch.cdist(drawn.flatten(1), images.flatten(1)).min(1)
    assert (distance.values < 0.5).float().mean() > 0.9
    assert len(set(distance.indices.tolist())) > 8  # not one mode only


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_picture_does_not_depend_on_what_is_drawn_beside_it(sampler):
    model = Empirical(draw(20, seed=0), SCHEDULE)

    def drawn(numbers):
        noise = PerImage("s", 0, indices=numbers)
        return sample(model, noise, (1, 8, 8), sampler=sampler, steps=10)

    together = drawn(range(8))
    torch.testing.assert_close(drawn([5])[0], together[5], rtol=0, atol=1e-5)
    torch.testing.assert_close(drawn([7, 2])[1], together[2], rtol=0, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_ancestral_sampling_draws_noise_and_ddim_none():
    model, noise = Gaussian(SCHEDULE), lambda: PerImage("n", indices=range(2))
    ddim = sample(model, noise(), (1, 8, 8), sampler="ddim")
    assert torch.equal(ddim, sample(model, noise(), (1, 8, 8), sampler="ddim"))
    ddpm = sample(model, noise(), (1, 8, 8), sampler="ddpm")
    assert torch.equal(ddpm, sample(model, noise(), (1, 8, 8), sampler="ddpm"))
    assert not torch.allclose(ddim, ddpm)


def test_defenses_are_told_which_step_they_are_in():
    class Recording:
        schedule = SCHEDULE
        steps: list[int] = []

        def __call__(self, x, t, *, step):
            self.steps.append(step)
            return torch.zeros_like(x)

    sample(Recording(), PerImage("r", indices=range(1)), (1, 8, 8), steps=20)
    assert Recording.steps == list(range(20))
