"""Extraction measures: how much of the training set came out, and how many images of it.

They read tables of the nearest-neighbor search, one row per picture: `similarity` (n,) to its
nearest training image, and `neighbor` (n,), that image's number. Row i of all tables of one target
began from the same noise, so pictures of two tables are paired. Only the nearest image of a picture
counts, so UMS <= AMS. Source: SIDE, equations 12 and 13, and its Appendix B.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import gammaln

from leakboard.measures import tests
from leakboard.measures.measure import Array, Measure, binomial, finite, rate
from leakboard.measures.similarity import calibrated_threshold

Table = Mapping[str, Any]  # similarity (n,), neighbor (n,) int
Band = tuple[float, float]
BANDS: dict[str, Band] = {"low": (0.4, 0.5), "mid": (0.5, 0.6), "high": (0.6, 1.0)}  # for SSCD


def in_band(similarity: Array, band: Band) -> Array:
    """Which pictures lie in [low, high), (n,) bool; a band up to 1 has no upper end.

    So it holds identical pictures, whose similarity may round to above 1. ValueError if the band
    is empty.
    """
    low, high = band
    if not low < high:
        raise ValueError(f"a band goes up, not from {low:g} to {high:g}")
    s = np.asarray(similarity)
    return (s >= low) if high >= 1 else (s >= low) & (s < high)


def found(
    table: Table, background: Array, bands: Mapping[str, Band], calibration: float
) -> dict[str, Array]:
    """Which pictures each band counts: name -> (n,) bool, the last one named "copy".

    A copy has similarity strictly above `calibrated_threshold(background, calibration)`.
    ValueError: bad columns, an empty band, or a band that takes the name "copy".
    """
    if "copy" in bands:
        raise ValueError('the band "copy" is what lies above the calibrated threshold: rename it')
    s, _ = columns(table)
    hits = {name: in_band(s, band) for name, band in bands.items()}
    return {**hits, "copy": s > calibrated_threshold(background, calibration)}


def columns(table: Table) -> tuple[Array, Array]:
    """The table's similarity, (n,) float64, and neighbor, (n,) int; ValueError if they are not."""
    (s,) = finite(similarity=table["similarity"])
    neighbor = np.asarray(table["neighbor"])
    if neighbor.shape != s.shape or neighbor.dtype.kind not in "iu" or neighbor.min() < 0:
        raise ValueError(
            f"neighbor is {neighbor.dtype} of shape {neighbor.shape}: expected the number of an "
            f"image, 0 or more, for each of {s.size} similarities"
        )
    return s, neighbor.astype(np.int64)


def unique(hits: Array, neighbor: Array) -> int:
    """How many different members are the nearest image of a hit; both (n,)."""
    return np.unique(neighbor[hits]).size


def ums(count: int, n: int, members: int) -> tuple[float, float, float]:
    """The UMS of `count` unique members in n pictures, and its 95 % interval: (value, low, high).

    The interval is that of the expected UMS at this n. The count is a sum of one indicator per
    member, "drawn at least once"; these are negatively associated (Joag-Dev & Proschan 1983), and
    of unequal chance, so it varies less than as many equal coins (Hoeffding 1956), and the exact
    interval for coins, scaled by members / n, is conservative. ValueError if more members were
    found than there are members or pictures.
    """
    if not 0 <= count <= min(members, n) or n < 1:
        raise ValueError(f"{count} unique members among {members}, in {n} pictures: impossible")
    _, low, high = binomial(count, members)
    return count / n, min(1.0, low * members / n), min(1.0, high * members / n)


def expected(p: Array, n: int) -> tuple[float, float]:
    """The expected (AMS, UMS) of n independent pictures.

    p: (m,), the chance that a picture is a hit of member j. AMS = sum_j p_j, whatever n;
    UMS = (1 / n) sum_j 1 - (1 - p_j)^n. Source: SIDE, Appendix B.
    """
    (p,) = finite(p=p)
    if (p < 0).any() or p.sum() > 1 + 1e-9 or n < 1:
        raise ValueError(f"chances of one picture sum to {p.sum():g}, drawn {n} times")
    with np.errstate(divide="ignore"):  # p = 1: log 0
        return float(p.sum()), float(-np.expm1(n * np.log1p(-p.clip(max=1))).sum() / n)


def predicted_ums(table: Table, band: Band, n: int) -> float:
    """The UMS to expect of n pictures, drawn at random among the N of the table; n <= N.

    UMS falls with the number of pictures, so two sets are compared at the smaller one's n. Exact:
    (1 / n) sum_j 1 - C(N - c_j, n) / C(N, n), c_j pictures being hits of member j (rarefaction,
    Hurlbert 1971); of fewer pictures it is Appendix B's curve without knowledge of the chances.
    """
    s, neighbor = columns(table)
    return rarefied(in_band(s, band), neighbor, n)


def rarefied(hits: Array, neighbor: Array, n: int) -> float:
    """The same of hits (n_all,) and their nearest images (n_all,)."""
    N = hits.size
    if not 1 <= n <= N:
        raise ValueError(f"cannot draw {n} of {N} pictures")
    every = np.unique(neighbor[hits], return_counts=True)[1]
    c = every[every <= N - n]  # more than that are in every subset
    always = every.size - c.size
    missed = gammaln(N - c + 1) - gammaln(N - c - n + 1) - gammaln(N + 1) + gammaln(N - n + 1)
    return float((always - np.expm1(missed).sum()) / n)


def swap_test(
    hits_a: Array,
    neighbor_a: Array,
    hits_b: Array,
    neighbor_b: Array,
    rng: np.random.Generator,
    permutations: int = 999,
) -> tests.Result:
    """The one-sided test that `a` finds more unique members than `b` from the same noise.

    All (n,), paired. If both draw alike, the two pictures of a noise may be exchanged: T_0 is the
    difference of the unique members, T_i the same with each pair swapped with chance 1 / 2,
    p = (1 + #{T_i >= T_0}) / (permutations + 1), never 0. statistic: T_0 / n, a difference of UMS.
    """
    if np.shape(hits_a) != np.shape(hits_b) or permutations < 1:
        raise ValueError(f"{len(hits_a)} and {len(hits_b)} pictures, {permutations} permutations")
    sides = [np.where(h, nb, -1) for h, nb in ((hits_a, neighbor_a), (hits_b, neighbor_b))]
    values, numbers = np.unique(np.stack(sides), return_inverse=True)
    member = values >= 0  # and -1 is no hit
    a, b = numbers.reshape(2, -1)
    differ = a != b  # exchanging two hits of one member changes nothing
    always, (a, b) = a[~differ], (a[differ], b[differ])

    def members(drawn: Array) -> int:
        seen = np.zeros(values.size, dtype=bool)
        seen[always] = seen[drawn] = True
        return int((seen & member).sum())

    def difference(swapped: Array) -> int:
        return members(np.where(swapped, b, a)) - members(np.where(swapped, a, b))

    T_0 = difference(np.zeros(a.size, dtype=bool))
    T_i = [difference(rng.random(a.size) < 0.5) for _ in range(permutations)]
    p = (1 + np.sum(np.array(T_i) >= T_0)) / (permutations + 1)
    return tests.Result(T_0 / differ.size, float(p), differ.size)


def rows(hits: Array, neighbor: Array, members: int, name: str, note: str = "") -> list[Measure]:
    """The two rows `ams:{name}` and `ums:{name}` of one band; hits, neighbor: (n,)."""
    n, k, u = hits.size, int(hits.sum()), unique(hits, neighbor)
    note = f"{note}; " if note else ""
    many = f"{note}{k} of {n} pictures"
    few = f"{note}{u} of {members} members in {n} pictures; compare at equal N only"
    return [
        Measure(f"ams:{name}", *rate(hits), n, "share", "lower", note=many),
        Measure(f"ums:{name}", *ums(u, n, members), n, "share", "lower", note=few),
    ]


def half(hits: Array, neighbor: Array, name: str) -> Measure:
    """The row `ums:{name}:half`: the UMS to expect of half as many pictures (Appendix B).

    That is what the best strength of a grid is told of, so both can be compared.
    """
    n = hits.size // 2
    note = f"expected of {n} of the {hits.size} pictures (SIDE, Appendix B); no interval of its own"
    value = rarefied(hits, neighbor, n) if n else np.nan
    status = "ok" if n else "unresolved"
    return Measure(f"ums:{name}:half", value, np.nan, np.nan, n, "share", "lower", status, note)


def versus(
    hits: tuple[Array, Array],
    neighbors: tuple[Array, Array],
    rng: np.random.Generator,
    permutations: int,
    name: str,
    note: str = "",
) -> list[Measure]:
    """The rows `ams_vs_random_p:{name}` and `ums_vs_random_p:{name}`; first the attack's pictures.

    hits, neighbors: of the attack's and of the plain pictures, (n,) each, paired by noise.
    """
    if hits[0].size != hits[1].size:
        raise ValueError(
            f"{hits[0].size} pictures cannot be paired with {hits[1].size} plain ones: draw as many"
        )
    n = 2 * hits[0].size
    swapped = swap_test(hits[0], neighbors[0], hits[1], neighbors[1], rng, permutations)
    tried = {
        "ams": (tests.mcnemar(*hits).p, "McNemar's test"),
        "ums": (swapped.p, f"{permutations} random swaps"),
    }
    more = "one-sided: more than plain pictures from the same noise"
    more = f"{note}; {more}" if note else more
    return [
        Measure(f"{which}_vs_random_p:{name}", p, np.nan, np.nan, n, "p", "", note=f"{more}, {how}")
        for which, (p, how) in tried.items()
    ]


def extraction(
    table: Table,
    background: Array,
    *,
    members: int,
    extractor: str,
    calibration: float,
    bands: Mapping[str, Band] = BANDS,
    random: Table | None = None,
    rng: np.random.Generator | None = None,
    permutations: int = 999,
) -> list[Measure]:
    """All rows of one set of pictures: AMS and UMS in every band and above the threshold.

    members: how many training images there are; background: see `calibrated_threshold`; random:
    the plain pictures from the same noise, for the rows `*_vs_random_p`, which need rng as well.
    ValueError where lengths differ.
    """
    hits, (_, neighbor) = found(table, background, bands, calibration), columns(table)
    plain = None if random is None else found(random, background, bands, calibration)
    out: list[Measure] = []
    for band, mine in hits.items():
        out += rows(mine, neighbor, members, f"{band}:{extractor}")
        out.append(half(mine, neighbor, f"{band}:{extractor}"))
        if random is not None and plain is not None:
            if rng is None:
                raise ValueError("the comparison with plain pictures swaps at random: give rng")
            pair = (mine, plain[band]), (neighbor, columns(random)[1])
            out += versus(*pair, rng, permutations, f"{band}:{extractor}")
    return out


def filtered(
    table: Table, kept: Array, threshold: float, *, members: int, extractor: str
) -> list[Measure]:
    """The rows of what an attacker picked out of N draws: see `attacks/generate_and_filter.py`.

    kept: (k,) rows of the table; a kept picture is a copy if its similarity lies strictly above the
    threshold. `extracted`: unique members among the copies, per draw; interval as for `ums`.
    `precision`: the share of kept pictures that are copies; NaN where none was kept.
    """
    s, neighbor = columns(table)
    kept = np.asarray(kept, dtype=np.int64)
    distinct = kept.ndim == 1 and np.unique(kept).size == kept.size
    if not distinct or ((kept < 0) | (kept >= s.size)).any():
        raise ValueError(f"kept are different rows of {s.size}, each in [0, {s.size})")
    copies = s[kept] > threshold
    k = unique(copies, neighbor[kept])
    note = f"{k} members of {members} from {s.size} draws"
    share = *ums(k, s.size, members), s.size, "share", "lower"
    out = [Measure(f"extracted:{extractor}", *share, note=note)]
    name = f"precision:{extractor}"
    if not kept.size:
        none = (np.nan,) * 3
        unresolved = "unresolved", "nothing was kept"
        return [*out, Measure(name, *none, 0, "share", "lower", *unresolved)]
    note = f"{int(copies.sum())} of {kept.size} kept pictures are copies"
    return [*out, Measure(name, *rate(copies), kept.size, "share", "lower", note=note)]
