"""FID and KID against closed forms and independent implementations."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import beta
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from leakboard.quality import Frechet, Moments, fid, kid, out_of_class, quality


class Given(nn.Identity):
    """Stands where torchmetrics expects its network: the features are already there."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features


def exact(mean: float, scale: float, d: int = 4) -> np.ndarray:
    """Points whose sample mean is exactly `mean` and whose covariance is exactly scale^2 I."""
    n = 2 * d
    spread = scale * np.sqrt((n - 1) / 2) * np.concatenate([np.eye(d), -np.eye(d)])
    return spread + mean


def test_the_distance_of_two_gaussians_has_its_closed_form():
    # N(0, I_4) to N(1, 4 I_4): |1|^2 = 4 and tr(I + 4 I - 2 * 2 I) = 4.
    assert fid(exact(0, 1), exact(1, 2)) == pytest.approx(8, abs=1e-6)


def test_a_set_has_no_distance_to_itself():
    points = np.random.default_rng(0).normal(size=(500, 16))
    assert fid(points, points) == pytest.approx(0, abs=1e-6)


def test_fid_agrees_with_the_textbook_formula():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)), rng.normal(size=(400, 8)) + 0.3
    s, t = np.cov(a.T), np.cov(b.T)
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = gap + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert fid(a, b) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("n", "d"), [(300, 12), (2500, 20), (200, 200), (40, 64)])
def test_fid_agrees_with_the_computation_of_its_jackknife(n, d):
    # of more than one block, and of fewer images than numbers, whose covariance is singular
    rng = np.random.default_rng(d)
    a, b = (np.abs(rng.normal(size=(n, d))) + shift for shift in (0.5, 0.6))
    own = Frechet(a)
    assert own(Moments.of(b, own.origin)) == pytest.approx(fid(a, b), rel=1e-6)


def test_fid_takes_no_precision_from_features_far_from_zero():
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(400, 6)), rng.normal(size=(400, 6)) + 0.3
    assert fid(a + 100, b + 100) == pytest.approx(fid(a, b), rel=1e-7)


def test_kid_agrees_with_a_double_loop():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(30, 5)), rng.normal(size=(30, 5)) + 0.5

    def k(x, y):
        return (x @ y / 5 + 1) ** 3

    pairs = [(i, j) for i in range(30) for j in range(30)]
    aa = np.mean([k(a[i], a[j]) for i, j in pairs if i != j])
    bb = np.mean([k(b[i], b[j]) for i, j in pairs if i != j])
    ab = np.mean([k(a[i], b[j]) for i, j in pairs])
    assert kid(a, b) == pytest.approx(aa + bb - 2 * ab, rel=1e-9)


@pytest.mark.parametrize(("real", "drawn"), [(250, 333), (333, 250), (97, 97)])
def test_both_and_their_intervals_agree_with_torchmetrics_asked_again_for_each_group(real, drawn):
    rng = np.random.default_rng(6)
    a, b = np.abs(rng.normal(size=(real, 12))) + 3, np.abs(rng.normal(size=(drawn, 12))) + 3.1

    def theirs(name, some):
        if name == "kid":
            size = min(len(a), len(some))
            return float(poly_mmd(*(torch.from_numpy(each[:size]) for each in (a, some))))
        metric = FrechetInceptionDistance(feature=Given(12)).set_dtype(torch.float64)
        metric.update(torch.from_numpy(a), real=True)
        metric.update(torch.from_numpy(some), real=False)
        return float(metric.compute())

    for row, name in zip(quality(a, b, "toy"), ("fid", "kid"), strict=True):
        left = np.array([theirs(name, np.delete(b, slice(g, None, 20), 0)) for g in range(20)])
        half = 1.96 * np.sqrt(19 / 20 * ((left - left.mean()) ** 2).sum())
        assert row.value == pytest.approx(theirs(name, b), rel=1e-9)
        assert row.ci_high - row.value == pytest.approx(half, rel=1e-7)


def test_quality_is_the_same_to_the_last_digit_whatever_torch_drew_before():
    a, b = (np.random.default_rng(seed).normal(size=(60, 4)) for seed in (0, 1))
    torch.manual_seed(0)
    one = quality(a, b, "toy")
    torch.manual_seed(1)
    assert quality(a, b, "toy") == one


def test_kid_of_one_distribution_is_near_zero_and_grows_with_the_shift():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 500, 8))
    assert abs(kid(a, b)) < 0.02
    assert kid(a, b + 0.5) > 0.05


def test_copying_a_small_set_costs_quality():
    rng = np.random.default_rng(4)
    held_out, members, fresh = (rng.normal(size=(n, 16)) for n in (1000, 100, 1000))
    copies = members[rng.integers(100, size=1000)]
    assert fid(held_out, copies) > 3 * fid(held_out, fresh)


def test_intervals_hold_the_value_and_shrink_with_more_pictures():
    rng = np.random.default_rng(5)

    def width(n):
        rows = quality(rng.normal(size=(n, 8)), rng.normal(size=(n, 8)) + 0.2, "toy")
        for row in rows:
            assert row.ci_low < row.value < row.ci_high
            assert "not Inception" in row.note
            assert row.metric.endswith(":toy")
        return rows[0].ci_high - rows[0].ci_low

    assert width(2000) < width(200)


@pytest.mark.parametrize("count", [0, 3, 20, 40])
def test_the_share_of_pictures_of_another_class_has_its_exact_interval(count):
    other, wrong = np.arange(40) < count, np.arange(200) < 13
    (row,) = out_of_class(other, wrong, "toy")
    assert (row.metric, row.value, row.n) == ("out_of_class:toy", count / 40, 40)
    assert (row.unit, row.better) == ("share", "lower")
    low = beta.ppf(0.025, count, 41 - count) if count else 0
    high = beta.ppf(0.975, count + 1, 40 - count) if count < 40 else 1
    assert (row.ci_low, row.ci_high) == pytest.approx((low, high), abs=1e-9)
    assert row.note == "the judge mistakes 0.065 of 200 held-out images"
