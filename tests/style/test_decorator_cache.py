import multiprocessing

import numpy as np
import pytest
from drawn_shirt import photo
from turned_over import CODE, PHOTOS, Negative

from recsys.errors import ArtifactError, ConfigError
from style.decorators.base import paint
from style.decorators.blend import Strength
from style.decorators.cached import Cached
from style.decorators.recipe import decorate
from style.decorators.region import BackgroundOnly
from style.guard import DOUBTFUL


def test_a_cached_picture_is_the_same_and_not_made_again(tmp_path):
    made, bare = [], Negative()
    stylizer = decorate(bare, Strength(0.7), Cached(str(tmp_path)), key="negative-1")
    for images in (PHOTOS[:1], PHOTOS, PHOTOS[::-1]):
        made.append(stylizer.apply(images, CODE))
    assert bare.seen == 2
    np.testing.assert_array_equal(made[1], decorate(Negative(), Strength(0.7)).apply(PHOTOS, CODE))
    np.testing.assert_array_equal(made[2], made[1][::-1])
    stylizer.apply(PHOTOS, CODE, seed=1)
    decorate(bare, Strength(0.6), Cached(str(tmp_path)), key="negative-1").apply(PHOTOS, CODE)
    decorate(bare, Strength(0.7), Cached(str(tmp_path)), key="negative-2").apply(PHOTOS, CODE)
    assert bare.seen == 8  # another seed, another recipe, another stylizer


@pytest.mark.parametrize("damage", [lambda b: b[:50], lambda b: b"", lambda b: b[:200] + b"\0" * 9 + b[209:]])
def test_a_damaged_cache_file_is_made_again(tmp_path, damage):
    bare = Negative()
    stylizer = decorate(bare, Cached(str(tmp_path)), key="k")
    stylizer.apply(PHOTOS[:1], CODE)
    (file,) = tmp_path.rglob("*.png")
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(stylizer.apply(PHOTOS[:1], CODE), 255 - PHOTOS[:1])
    assert bare.seen == 2
    stylizer.apply(PHOTOS[:1], CODE)
    assert bare.seen == 2


def test_reasons_and_shares_are_cached_too(tmp_path):
    stylizer = decorate(Negative(), BackgroundOnly(), Cached(str(tmp_path)), key="k")
    images = np.concatenate([PHOTOS[:1], np.full((1, 176, 117, 3), 244, np.uint8)])
    first, again = (paint(stylizer, images, CODE) for _ in range(2))
    assert again.reasons == first.reasons == ("", DOUBTFUL)
    assert again.shares.tolist() == [1.0, 0.0]


def _fill(folder, order, done):
    images = np.stack([photo((20 * i + 20, 60, 90), seed=i, size=(39, 58))[0] for i in range(10)])
    stylizer = decorate(Negative(), Cached(folder), key="k")
    made = [stylizer.apply(images[i : i + 1], CODE)[0] for _ in range(3) for i in order]
    done.put(bool((np.stack(made[:10]) == (255 - images)[order]).all()))


def test_several_processes_may_write_one_cache(tmp_path):
    fork = multiprocessing.get_context("fork")
    done = fork.Queue()
    orders = [np.random.default_rng(i).permutation(10).tolist() for i in range(4)]
    workers = [fork.Process(target=_fill, args=(str(tmp_path), order, done)) for order in orders]
    for worker in workers:
        worker.start()
    assert all(done.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(list(tmp_path.rglob("*.png"))) == 10
    assert not [f for f in tmp_path.rglob("*") if f.name.startswith(".tmp-")]


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot write"):
        decorate(Negative(), Cached(str(tmp_path / "file" / "below")), key="k").apply(PHOTOS, CODE)


def test_a_cache_must_know_what_it_keeps(tmp_path):
    with pytest.raises(ConfigError, match="cached must know what it keeps"):
        decorate(Negative(), Cached(str(tmp_path))).apply(PHOTOS, CODE)
