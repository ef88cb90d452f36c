"""Where memory ends, images are asked about in parts, and nothing else changes."""

import numpy as np
import pytest

from leakboard.features import Extract
from leakboard.room import Room

ENDED = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"


def within(most, seen):
    def answer(rows):
        seen.append((rows.start, rows.stop))
        if rows.stop - rows.start > most:
            raise RuntimeError(ENDED)
        return list(range(10))[rows]

    return answer


def test_a_batch_is_asked_about_whole_and_where_memory_ends_in_halves_from_then_on(capsys):
    seen, room = [], Room()
    assert room(within(10, seen), 10) == [[*range(10)]]
    assert room.most is None
    assert room(within(3, seen), 10) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert seen == [(0, 10), (0, 10), (0, 5), (0, 3), (3, 6), (6, 9), (9, 10)]
    assert "memory ended: 3 images at once from here on" in capsys.readouterr().out
    seen.clear()
    assert room(within(3, seen), 2) == [[0, 1]]
    assert room(within(3, seen), 0) == [[]]
    assert seen == [(0, 2), (0, 0)]


@pytest.mark.parametrize("message", [ENDED, "shapes do not match"])
def test_what_halves_do_not_cure_is_raised_as_it_is(message):
    def never(rows):
        raise RuntimeError(message)

    room = Room()
    with pytest.raises(RuntimeError, match=message[:12].replace("[", r"\[")):
        room(never, 8)
    assert room.most == (1 if message == ENDED else None)


def test_features_are_extracted_in_parts(monkeypatch):
    extract = Extract({"method": "pixels", "params": {}}, [])
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)
    whole = [extract(pixels, alter) for alter in (False, True)]
    plain = type(extract.method).features

    def short(self, images, net):
        if len(images) > 6:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, images, net)

    monkeypatch.setattr(type(extract.method), "features", short)
    for alter, expected in zip((False, True), whole, strict=True):
        np.testing.assert_array_equal(extract(pixels, alter), expected)
    assert extract.room.most == 5
