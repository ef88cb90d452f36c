"""Rejection against truth: exact denoisers that draw copies of members and of strangers."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from leakboard import networks, plugins
from leakboard.diffusion import Denoiser, Parts, Schedule, Screen, sample
from leakboard.features import Extract, Space
from leakboard.images import to_float, to_pixels
from leakboard.measures.screening import screening
from leakboard.oracles import Empirical, draw
from leakboard.randomness import PerImage
from leakboard.sampling import Target
from leakboard.sampling import draw as pictures

DEVICE, SCHEDULE, SHAPE = networks.device(), Schedule.linear(), (1, 8, 8)
MEMBERS, STRANGERS = (to_float(to_pixels(draw(8, seed=s))).to(DEVICE) for s in (1, 2))
KNOWN = torch.cat([MEMBERS, STRANGERS])  # what the network draws: half of it are copies of members
SPEC = {
    "track": "test",
    "seed": 3,
    "sampling": {"sampler": "ddim", "steps": 6, "batch_size": 8, "clip_sample": False},
}
N, TRIES = 24, 4
SERVED = [300, 150]  # levels of a service's steps


class Net:
    """Stands where a network without classes is expected: the exact denoiser of KNOWN."""

    config = SimpleNamespace(num_class_embeds=None)
    exact = Empirical(KNOWN, SCHEDULE)

    def __call__(self, x, t):
        return SimpleNamespace(sample=self.exact(x, t))


def target(method="rejection", mirrored=False, **params):
    extract = Extract({"method": "pixels", "params": {}}, [])
    labels = torch.zeros(len(MEMBERS)).long().to(DEVICE)
    space = Space(extract.features, extract.measure, MEMBERS, labels, mirrored)
    denoisers = [Denoiser(Net(), SCHEDULE)]
    defense = plugins.load("defenses", method, params)
    return Target(defense, denoisers, Parts(denoisers, members=MEMBERS, space=space), SHAPE, labels)


def drawn(target, start=0, stop=N, **how):
    return pictures(target, {**SPEC, "sampling": {**SPEC["sampling"], **how}}, start, stop)


def same(one, other):
    for key in ("images", "asked", "tries", "passed"):
        assert np.array_equal(one[key], other[key]), key


def similarity(pixels):
    """How near each picture (n, h, w, c) uint8 is to a member, (n,): from the pixels, by hand."""
    gaps = pixels[:, None].astype(float) - to_pixels(MEMBERS)[None]
    return 1 - np.sqrt((gaps**2).mean((2, 3, 4))).min(1) / 255


@cache
def attempt(number, again):
    """A picture's draw by that number, alone and without any defense, (h, w, c) uint8."""
    names = ("sample", "test", SPEC["seed"], *(("try", again) if again else ()))
    how = {"sampler": "ddim", "steps": SPEC["sampling"]["steps"], "device": DEVICE}
    noise = PerImage(*names, indices=[number])
    return to_pixels(sample(Denoiser(Net(), SCHEDULE), noise, SHAPE, **how))[0]


# --- what is drawn -------------------------------------------------------------------------------


def test_every_picture_that_passes_is_at_most_tau_near_and_the_others_are_nearer():
    made = drawn(target(tau=0.9, tries=TRIES))
    near = similarity(made["images"])
    assert (near[made["passed"]] <= 0.9).all()
    assert (near[~made["passed"]] > 0.9).all()
    assert 0 < made["passed"].sum() < N  # both kinds are there
    assert set(made["tries"].tolist()) == set(range(1, TRIES + 1))
    bare = similarity(drawn(target("none"))["images"])
    assert (near > 0.9).sum() < (bare > 0.9).sum() / 2


def test_a_picture_is_its_first_try_that_passes_or_else_the_least_similar_of_all():
    made = drawn(target(tau=0.9, tries=TRIES))
    for i in range(N):
        every = np.stack([attempt(i, k) for k in range(TRIES)])
        near = similarity(every)
        passes = np.flatnonzero(near <= 0.9)
        chosen = passes[0] if len(passes) else near.argmin()
        assert made["passed"][i] == bool(len(passes))
        assert made["tries"][i] == (chosen + 1 if len(passes) else TRIES)
        assert np.array_equal(made["images"][i], every[chosen])


def test_a_picture_accepted_at_its_first_try_is_that_of_no_defense():
    made, bare = drawn(target(tau=0.9, tries=TRIES)), drawn(target("none"))
    assert "tries" not in bare
    first = made["tries"] == 1
    assert first.any()
    assert np.array_equal(made["images"][first], bare["images"][first])
    later = ~first & made["passed"]
    assert (made["images"][later] != bare["images"][later]).any((1, 2, 3)).all()


def test_a_tau_above_every_similarity_redraws_nothing():
    made, bare = drawn(target(tau=1.0, tries=TRIES)), drawn(target("none"))
    assert np.array_equal(made["images"], bare["images"])
    assert (made["tries"] == 1).all()
    assert made["passed"].all()


def test_a_tau_below_every_similarity_uses_all_tries_and_hands_out_the_least_similar():
    made = drawn(target(tau=-1.0, tries=TRIES))
    assert (made["tries"] == TRIES).all()
    assert not made["passed"].any()
    places = []
    for i in range(N):
        every = np.stack([attempt(i, k) for k in range(TRIES)])
        places.append(similarity(every).argmin())
        assert np.array_equal(made["images"][i], every[places[-1]])
    assert len(set(places)) == TRIES  # neither always the first nor always the last


def test_one_try_only_says_what_would_not_have_passed():
    made, bare = drawn(target(tau=0.9, tries=1)), drawn(target("none"))
    assert np.array_equal(made["images"], bare["images"])
    assert np.array_equal(made["passed"], similarity(bare["images"]) <= 0.9)


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batches_and_shards_never_matter(batch_size):
    whole = drawn(target(tau=0.9, tries=TRIES))
    same(drawn(target(tau=0.9, tries=TRIES), batch_size=batch_size), whole)
    edges = [0, batch_size, N] if batch_size < N else [0, 11, N]
    shards = [
        drawn(target(tau=0.9, tries=TRIES), start, stop, batch_size=batch_size)
        for start, stop in pairwise(edges)
    ]
    keys = whole.keys() - {"seconds"}
    same({key: np.concatenate([shard[key] for shard in shards]) for key in keys}, whole)


def test_only_pictures_that_did_not_pass_are_drawn_again():
    sizes = []

    class Counting(Net):
        def __call__(self, x, t):
            sizes.append(len(x))
            return super().__call__(x, t)

    made = target(tau=0.9, tries=TRIES)
    made = replace(made, denoisers=[Denoiser(Counting(), SCHEDULE)])
    tries = drawn(made, batch_size=N)["tries"]
    expected = [(tries > k).sum() for k in range(TRIES)]
    steps = SPEC["sampling"]["steps"]
    assert sizes == [size for size in expected for _ in range(steps)]
    assert expected[0] > expected[1] > expected[2] > 0


def test_a_mirrored_member_is_a_member_where_the_networks_learn_it():
    plain, mirrored = (
        target(mirrored=also).screen.similarity(MEMBERS.flip(-1)) for also in (False, True)
    )
    assert (mirrored > 0.999).all()
    assert (plain < 0.9).all()


def test_at_each_step_it_predicts_what_its_network_predicts():
    made, bare = target(tau=0.1), Denoiser(Net(), SCHEDULE)
    for step, t in enumerate((999, 400, 20)):
        x = SCHEDULE.noised(KNOWN, torch.ones_like(KNOWN), torch.tensor(t))
        said = made.predictor()(x, torch.tensor(t), step=step)
        assert torch.equal(said, bare(x, torch.tensor(t)))


def test_a_screen_without_a_space_says_what_is_missing():
    bare = replace(target(), parts=Parts([Denoiser(Net(), SCHEDULE)]))
    with pytest.raises(ValueError, match="needs `extractor:`"):
        drawn(bare)


# --- the screen alone ----------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.1, 0.3, 0.5, 1.0])
def test_screening_agrees_with_going_through_a_table_of_similarities(tau):
    # Tenths, so that ties and pictures of exactly tau occur; a picture shows its row and try.
    table = torch.from_numpy(np.random.default_rng(0).integers(0, 11, (200, 5)) / 10)

    def once(rows, again):
        return torch.stack([rows, torch.full_like(rows, again)], 1).float()[:, :, None, None]

    def near(shown):
        row, again = shown[:, :, 0, 0].long().T
        return table[row, again]

    found = Screen(near, tau, 5).redrawn(once, 200)
    for i, values in enumerate(table.tolist()):
        passes = [k for k, value in enumerate(values) if value <= tau]
        chosen = passes[0] if passes else values.index(min(values))
        assert found.tries[i] == (passes[0] + 1 if passes else 5)
        assert found.passed[i] == bool(passes)
        assert found.pictures[i].flatten().tolist() == [i, chosen]


# --- a service that screens ----------------------------------------------------------------------


def served(queries, numbers, calls=3, **params):
    """What a service says to these queries (n, c, h, w), call by call, and its draws for each."""
    service, counts = target(**params).service(torch.zeros(len(queries)).long(), False), []

    def part(rows):
        counts[-1][rows] += 1
        return whole(rows)

    whole = service.part
    service, rng = replace(service, part=part), PerImage("asked", indices=numbers)
    said = []
    for _ in range(calls):
        counts.append(torch.zeros(len(queries)).long())
        said.append(to_pixels(service.vary(queries, SERVED, rng)))
    return np.stack(said, 1), torch.stack(counts, 1)  # (n, calls, ...)


QUERIES = torch.cat([MEMBERS, STRANGERS])


def test_batch_mates_never_matter_to_a_service_however_often_it_is_asked():
    whole, counts = served(QUERIES, range(16), tau=0.8, tries=TRIES)
    assert len(counts.unique()) > 2  # some are drawn again, others not
    for rows in ([0], [9], [3, 12], list(reversed(range(16)))):
        some, few = served(QUERIES[rows], rows, tau=0.8, tries=TRIES)
        assert np.array_equal(some, whole[rows])
        assert torch.equal(few, counts[rows])


def test_a_service_that_screens_nothing_answers_as_without_a_screen():
    said, counts = served(QUERIES, range(16), tau=1.0)
    assert (counts == 1).all()
    service = target("none").service(torch.zeros(16).long(), False)
    rng = PerImage("asked", indices=range(16))
    for call in range(3):
        assert np.array_equal(to_pixels(service.vary(QUERIES, SERVED, rng)), said[:, call])


def test_a_service_holds_back_pictures_of_members_and_those_of_strangers_pass():
    said, counts = served(QUERIES, range(16), tau=0.9, tries=TRIES)
    member, stranger = counts[:8].float().mean(), counts[8:].float().mean()
    assert member > 3
    assert stranger < 1.5
    near = similarity(said.reshape(-1, 8, 8, 1)).reshape(16, 3)
    assert (near[(counts < TRIES).numpy()] <= 0.9).all()
    assert (near[8:] <= 0.9).mean() > 0.9


# --- what it costs -------------------------------------------------------------------------------


def test_the_acceptance_rate_is_the_share_of_all_draws_that_passed():
    made = drawn(target(tau=0.9, tries=TRIES))
    rows = {row.metric: row for row in screening(made["tries"], made["passed"], "pixels")}
    accepted = total = 0
    for i in range(N):
        for k in range(TRIES):
            total += 1
            if similarity(attempt(i, k)[None])[0] <= 0.9:
                accepted += 1
                break
    assert rows["acceptance_rate"].value == accepted / total
    assert rows["acceptance_rate"].n == total
    assert 0.3 < accepted / total < 0.7  # half of what the network knows are members
