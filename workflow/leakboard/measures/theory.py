"""The memorization metric of SIDE's theory, and the ratio that its Theorem 1 bounds.

M(D; theta) = sum_i KL(p_theta || N(x_i, eps I)), equations 1 and 2; here per member, M / m:

    - H(p) + E_p mean_i ||x - x_i||^2 / (2 eps) + d / 2 log(2 pi eps)

Smaller is more memorization, says the paper. Mind what it measures: as eps -> 0 the mean squared
distance to *all* members decides, and that is least, by half, for pictures that all are the average
of the members and copy none; faithful copies of members drawn alike lie twice as far. Only the
entropy tells them apart, at eps that is not small. Copies are counted in `extraction`, not here.

Pictures and members are features, (n, d) and (m, d). Dimensions in which all of them are equal, as
the black edge of pictures, add nothing to a distance and are left out of d.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import digamma, gammaln

from leakboard.measures.measure import Array, Measure

Entropy = Literal["gaussian", "nearest-neighbor"]


def squared_distances(pictures: Array, members: Array) -> Array:
    """The mean squared distance of each picture to all members: (n, d), (m, d) -> (n,)."""
    center = members.mean(axis=0)
    spread = ((members - center) ** 2).sum(axis=1).mean()
    return ((pictures - center) ** 2).sum(axis=1) + spread


def surprises(pictures: Array, entropy: Entropy = "gaussian", k: int = 3) -> Array:
    """-log p(x) of each picture, up to what averages out: (n, d) -> (n,); their mean is H(p).

    "gaussian", the paper's assumption (equations 34 and 35): H = 1/2 log det(2 pi e Sigma), with
    Sigma shrunk towards a multiple of the identity (Ledoit & Wolf 2004), as n may be below d; its
    bias, of the order of d^2 / n where little is shrunk, is in no interval. "nearest-neighbor": H
    by the distance to the k-th nearest other picture (Kozachenko & Leonenko 1987). All infinite
    where there is no density: pictures that are all the same, or k + 1 identical ones.
    """
    n, d = pictures.shape
    if entropy == "gaussian":
        return _gaussian(pictures)
    if entropy != "nearest-neighbor":
        raise ValueError(f'an entropy is "gaussian" or "nearest-neighbor", not {entropy!r}')
    if not 1 <= k < n:
        raise ValueError(f"there is no {k}-th nearest of {n - 1} other pictures")
    from sklearn.neighbors import NearestNeighbors

    radius = NearestNeighbors(n_neighbors=k).fit(pictures).kneighbors()[0][:, -1]
    if (radius == 0).any():
        return np.full(n, -np.inf)
    ball = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)  # log volume of the unit ball
    return digamma(n) - digamma(k) + ball + d * np.log(radius)


def _gaussian(pictures: Array) -> Array:
    from sklearn.covariance import ledoit_wolf_shrinkage

    n, d = pictures.shape
    if n < 2:
        raise ValueError("the covariance of a single picture is not known")
    centered = pictures - pictures[0]  # identical pictures become exact zeros
    centered -= centered.mean(axis=0)
    # Without a (d, d) matrix: the singular values hold what differs from the identity's share.
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    variances = values**2 / n
    shrinkage, size = ledoit_wolf_shrinkage(centered, assume_centered=True), variances.sum() / d
    along, across = (1 - shrinkage) * variances + shrinkage * size, shrinkage * size
    if min(along.min(), across if n <= d else np.inf) <= 0:
        return np.full(n, -np.inf)
    outside = (d - along.size) * np.log(across) if d > along.size else 0.0
    H = 0.5 * (d * np.log(2 * np.pi * np.e) + np.log(along).sum() + outside)
    mahalanobis = ((left * values) ** 2 / along).sum(axis=1)  # centered lies within the values
    return H + 0.5 * (mahalanobis - mahalanobis.mean())


def memorization(
    pictures: Array,
    members: Array,
    *,
    extractor: str,
    epsilon: float,
    entropy: Entropy = "gaussian",
    k: int = 3,
) -> list[Measure]:
    """The row `memorization_metric@{epsilon:g}:{extractor}`: M / m in nats; see the module.

    The interval is normal, from the pictures' own terms -H + ||.||^2 / (2 eps): a bootstrap repeats
    pictures, whose nearest neighbor is then themselves, and whose covariance is of fewer. NaN and
    "unresolved" where the pictures have no density. ValueError: shapes, or epsilon not above 0.
    """
    x, y = _features(pictures, members)
    if not epsilon > 0:
        raise ValueError(f"epsilon is a variance above 0, not {epsilon:g}")
    terms = _terms(surprises(x, entropy, k), squared_distances(x, y), epsilon, x.shape[1])
    n, name = len(x), f"memorization_metric@{epsilon:g}:{extractor}"
    note = f"epsilon = {epsilon:g}, {entropy} entropy, d = {x.shape[1]}, n = {n}, m = {len(y)}"
    if not np.isfinite(terms).all():
        note = f"identical pictures have no density; {note}"
        none = np.nan, np.nan, np.nan
        return [Measure(name, *none, n, "nats per member", "higher", "unresolved", note)]
    value, half = float(terms.mean()), float(1.96 * terms.std(ddof=1) / np.sqrt(n))
    ends = value - half, value + half
    return [Measure(name, value, *ends, n, "nats per member", "higher", note=note)]


def conditional_ratio(
    pictures: Array,
    asked: Array,
    plain: Array,
    members: Array,
    labels: Array,
    rng: np.random.Generator,
    *,
    extractor: str,
    epsilons: Sequence[float] = (),
    entropy: Entropy = "gaussian",
    k: int = 3,
    resamples: int = 2000,
) -> list[Measure]:
    """Theorem 1's ratio: does asking for a class bring pictures nearer to that class's members?

    pictures (n, d), each drawn when asked for its class, asked (n,); plain (n_p, d), drawn without;
    members (m, d) of labels (m,). sum_c sum_{i in c} KL(p(.|c) || q_i) over the same with p, of
    the classes asked for: below 1, says the theorem. One row `conditional_kl_ratio@{eps:g}` for
    each epsilon, and `@0` for the limit, sum_c sum_i E_{p(.|c)} ||x - x_i||^2 over the same with p,
    which needs no entropy. The interval resamples the terms of pictures, per class: see
    `memorization`. The weakness of the limit: class averages score lower than copies.
    "unresolved" where there is no density, or the plain pictures' divergence is not above 0.
    Source: SIDE, equations 6, 35 and 50; the theorem's c is summed over.
    """
    asked, labels = np.asarray(asked), np.asarray(labels)
    x, base, y = _features(pictures, plain, members)
    if asked.shape != (len(x),) or labels.shape != (len(y),):
        raise ValueError(
            f"{len(x)} pictures asked for {asked.shape} classes, {len(y)} members of {labels.shape}"
        )
    if any(not eps > 0 for eps in epsilons):
        raise ValueError(f"an epsilon is a variance above 0, not all of {list(epsilons)}")
    classes = np.unique(asked)
    if not np.isin(classes, labels).all():
        raise ValueError(f"classes without members: {classes[~np.isin(classes, labels)].tolist()}")
    counted = np.isin(labels, classes)
    weights = np.array([(labels == c).sum() for c in classes]) / counted.sum()
    near = [squared_distances(x[asked == c], y[labels == c]) for c in classes]
    near_plain = squared_distances(base, y[counted])
    rows = [("0", near, near_plain)]
    if epsilons:
        d = x.shape[1]
        own = [surprises(x[asked == c], entropy, k) for c in classes]
        whole = surprises(base, entropy, k)
        rows += [
            (
                f"{eps:g}",
                [_terms(h, g, eps, d) for h, g in zip(own, near, strict=True)],
                _terms(whole, near_plain, eps, d),
            )
            for eps in epsilons
        ]
    note = f"{classes.size} classes asked for, {int(counted.sum())} of {len(y)} members"
    out = []
    for at, terms, below in rows:
        name, n = f"conditional_kl_ratio@{at}:{extractor}", len(x) + len(base)
        said = note if at == "0" else f"{note}, {entropy} entropy"
        row = _ratio(terms, below, weights, rng, resamples)
        status = "ok" if np.isfinite(row[0]) else "unresolved"
        out.append(Measure(name, *row, n, "ratio", "", status, said))
    return out


def _ratio(
    terms: list[Array], below: Array, weights: Array, rng: np.random.Generator, resamples: int
) -> tuple[float, float, float]:
    """The ratio of the weighted means of terms to the mean below, and its percentile interval."""

    def means(values: Array) -> Array:
        """First the mean itself, then those of the resamples: (1 + resamples,)."""
        size = values.size
        drawn = [values[rng.integers(size, size=size)].mean() for _ in range(resamples)]
        return np.array([values.mean(), *drawn])

    if not all(np.isfinite(t).all() for t in (*terms, below)):
        return np.nan, np.nan, np.nan
    above = sum(w * means(t) for w, t in zip(weights, terms, strict=True))
    divisor = means(below)
    if divisor[0] <= 0:
        return np.nan, np.nan, np.nan
    ratio = above / divisor
    if (divisor <= 0).any():
        return float(ratio[0]), np.nan, np.nan
    low, high = np.quantile(ratio[1:], [0.025, 0.975])
    return float(ratio[0]), float(low), float(high)


def _terms(surprise: Array, squared: Array, epsilon: float, d: int) -> Array:
    """Terms of pictures whose mean is the Kullback-Leibler divergence, per member: (n,)."""
    return -surprise + squared / (2 * epsilon) + d / 2 * np.log(2 * np.pi * epsilon)


def _features(*sets: Array) -> list[Array]:
    """The sets as float64, without the dimensions in which all of all sets are equal."""
    arrays = [np.asarray(a, dtype=np.float64) for a in sets]
    shapes = [a.shape for a in arrays]
    if any(len(s) != 2 or not s[0] or s[1] != shapes[0][-1] for s in shapes):
        raise ValueError(f"features are (n, d) of one d, and not none, not {shapes}")
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError("features hold NaN or infinite values")
    varying = np.logical_or.reduce([(a != arrays[0][:1]).any(axis=0) for a in arrays])
    if not varying.any():
        raise ValueError("all pictures and all members are one and the same")
    return [a[:, varying] for a in arrays]
