"""Translations between two sets of pictures: losses fall, the mean colour moves, pools and files last."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ArtifactError, ConfigError, DataError
from style.backbone import load_backbone
from style.base import StyleCode
from style.encoders.efficientnet import EfficientNetLite0
from style.frechet import SIDE, distances, embedded, frechet_distance, views
from style.imagestore import ImageStore
from style.networks import PaintNetwork
from style.perception import as_images, as_tensor
from style.stylizers.cut import Cut, CutConfig, CutTask, PlaceHeads
from style.stylizers.cyclegan import CycleGan, CycleGanConfig, CycleGanTask
from style.training import Photos, TrainConfig, descend, train
from style.translation import Critic, Generator, ImagePool, split_style

QUICK = {"backbone": "random", "device": "cpu", "learning_rate": 2e-3}
KINDS = {
    "cyclegan": (CycleGanTask, CycleGanConfig(**QUICK | {"learning_rate": 5e-4}), CycleGan),
    "cut": (CutTask, CutConfig(**QUICK, places=32), Cut),
}


def tinted(tint, seed, folder):
    """Twenty soft pictures drawn towards one colour."""
    for i, picture in enumerate(pictures(20, (40, 40), seed=seed)):
        mixed = 0.5 * picture + 0.5 * np.asarray(tint)
        Image.fromarray(mixed.astype(np.uint8)).save(folder / f"{i:02}.png")
    return Photos.of(ImageStore.open(folder))


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    return tinted((220, 40, 40), 1, tmp_path_factory.mktemp("red"))


@pytest.fixture(scope="module")
def blue(tmp_path_factory):
    return replace(tinted((40, 40, 220), 2, tmp_path_factory.mktemp("blue")), held=0)


@pytest.fixture(scope="module")
def trained(red, blue, tmp_path_factory):
    """Kind → folder, judgements, task."""
    found = {}
    for kind, steps in (("cyclegan", 40), ("cut", 60)):
        task_of, config, _ = KINDS[kind]
        out, task = tmp_path_factory.mktemp(kind), task_of(config, blue)
        curve = train(task, red, TrainConfig(steps=steps, batch=2, size=32, every=steps), out)
        task.export(out, {"kind": kind})
        found[kind] = out, curve, task
    return found


class UnpairedContract(StylizerContract):
    """Subclasses give ``kind``."""

    tolerance = 1  # convolutions of other batch sizes sum in another order: a last bit, then one step of 255
    kind = ""

    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, trained):
        return KINDS[cls.kind][2](str(trained[cls.kind][0]), device="cpu")

    def test_the_domain_is_the_style(self, stylizer, code):
        """Any picture, or none, gives the same code."""
        assert stylizer.encode(np.empty((0, 16, 16, 3), np.uint8)) == code == stylizer.encode(pictures(2, seed=5))
        assert code.arrays["amount"].tolist() == [1]

    def test_half_of_the_code_is_half_of_the_change(self, stylizer, code):
        images = pictures(2).astype(int)
        half = StyleCode.mix({code: 0.5, stylizer.unchanged(): 0.5})
        whole, part, none = (
            stylizer.apply(images.astype(np.uint8), c) - images for c in (code, half, stylizer.unchanged())
        )
        assert not none.any()
        assert np.abs(part - whole / 2).max() <= 1  # both are rounded

    def test_larger_photos_than_side_are_painted_small(self, trained, code):
        small = KINDS[self.kind][2](str(trained[self.kind][0]), side=16, device="cpu")
        images = pictures(1, (70, 40))
        assert small.apply(images, code).shape == images.shape

    def test_red_photos_become_blue(self, stylizer, red):
        photos = red.held_out(32)
        before, after = (
            photos.mean(axis=(0, 1, 2)),
            stylizer.apply(photos, stylizer.encode(photos)).mean(axis=(0, 1, 2)),
        )
        assert before[0] - before[2] > 50
        assert after[2] - after[0] > 0

    def test_files_of_the_other_kind_are_refused(self, trained):
        other = next(k for k in KINDS if k != self.kind)
        with pytest.raises(ArtifactError, match=f"no {self.kind} model"):
            KINDS[self.kind][2](str(trained[other][0]))

    def test_no_model_is_refused_with_the_cure(self):
        with pytest.raises(ConfigError, match=f"stylerec style train {self.kind}"):
            KINDS[self.kind][2]()

    def test_held_out_pictures_come_nearer(self, trained, red, blue):
        """Nearer than the photos are, and than what an untrained network makes of them: grey."""
        task_of, config, _ = KINDS[self.kind]
        before = task_of(config, blue).judge(as_tensor(red.held_out(32)))
        row = trained[self.kind][1][-1]
        assert row["held_out_fid_share"] < 0.8 * min(1, before["fid_share"])
        assert row["held_out_fid_before"] == pytest.approx(before["fid_before"])

    def test_a_training_that_was_cut_off_goes_on_bit_for_bit(self, red, blue, tmp_path):
        task_of, config, _ = KINDS[self.kind]
        files = {}
        for name, stops in (("whole", (2,)), ("cut", (1, 2))):
            for steps in stops:
                train(task_of(config, blue), red, TrainConfig(steps=steps, batch=2, size=32, every=1), tmp_path / name)
            files[name] = (tmp_path / name / "checkpoint.safetensors").read_bytes()
        assert files["whole"] == files["cut"]

    def test_few_style_pictures_are_refused(self, blue):
        task_of, config, _ = KINDS[self.kind]
        with pytest.raises(DataError, match=f"{self.kind}: give at least 16 style pictures, got 15"):
            task_of(config, replace(blue, names=blue.names[:15]))


class TestCycleGan(UnpairedContract):
    kind = "cyclegan"

    def test_the_cycle_loss_falls(self, trained, red, blue):
        untrained = CycleGanTask(KINDS["cyclegan"][1], blue).judge(as_tensor(red.held_out(32)))
        assert trained["cyclegan"][1][-1]["held_out_cycle"] < 0.75 * untrained["cycle"]

    def test_the_way_back_is_red_again(self, trained, red):
        photos = as_tensor(red.held_out(32))
        there, back = (x.mean(dim=(0, 2, 3)) for x in trained["cyclegan"][2].sample(photos))
        assert there[2] > there[0]
        assert back[0] > back[2]

    def test_generators_that_change_nothing_lose_nothing(self, blue, red):
        """No cycle loss, and a FID that is the photos' own."""
        task = CycleGanTask(KINDS["cyclegan"][1], blue)
        task.mean_there = task.mean_back = torch.nn.Identity()
        found = task.judge(as_tensor(red.held_out(32)))
        assert found["cycle"] == found["identity"] == 0
        assert found["fid_share"] == pytest.approx(1)


class TestCut(UnpairedContract):
    kind = "cut"

    def test_contrast_alone_makes_places_known_again(self, red, blue):
        task, photos, rng = CutTask(KINDS["cut"][1], blue), as_tensor(red.held_out(32)), torch.Generator()
        losses = []
        for _ in range(30):
            seen = task.generator.seen(photos)
            loss = task.contrast(task.generator.painted(seen[-1], 32, 32), seen, rng.manual_seed(0)).mean()
            descend(task.optimisers["generator"], loss, task.painters)
            losses.append(loss.item())
        assert losses[-1] < 0.75 * np.log(32) < losses[0]  # log(32): guessing among 32 places

    def test_contrast_of_a_picture_with_itself_is_least(self, trained, red):
        task, photos = trained["cut"][2], as_tensor(red.held_out(32))
        seen = task.generator.seen(photos)
        same, other = (task.contrast(x, seen, torch.Generator().manual_seed(0)) for x in (photos, photos.flip(3)))
        assert (same < other).all()

    def test_only_the_made_picture_is_moved_by_contrast(self, trained, red):
        task, photos = trained["cut"][2], as_tensor(red.held_out(32)).requires_grad_()
        seen = task.generator.seen(photos)
        made = photos.detach().clone().requires_grad_()
        torch.autograd.backward(task.contrast(made, seen, torch.Generator().manual_seed(0)).sum())
        assert photos.grad is None
        assert made.grad.abs().sum() > 0

    def test_heads_look_at_the_given_places(self):
        heads, x = PlaceHeads([3]), torch.rand(2, 3, 4, 4)
        (found,) = heads([x], [torch.tensor([5])])
        torch.testing.assert_close(found[:, 0], heads.heads[0](x[:, :, 1, 1]))


class TestNetworks:
    def test_a_generator_is_its_parts(self):
        """`PaintNetwork` adds the same tanh to the picture."""
        network, x = Generator(4, 2), torch.rand(2, 3, 21, 18)
        seen = network.seen(x)
        assert isinstance(network.paint, PaintNetwork)
        change = network.paint(x, torch.ones(2, 1)) - x
        torch.testing.assert_close(network(x), (change + 1) / 2)
        assert [seen[tap].shape[1] for tap in network.taps] == list(network.widths)

    @pytest.mark.parametrize("pixel", [(0, 0), (64, 64)])
    def test_a_critic_answers_field_by_field(self, pixel):
        """The answer at (i, j) reads 70 x 70 pixels, 8 apart; instance norm is taken out, which sees all."""
        critic = Critic(2)
        layers = torch.nn.Sequential(*(x for x in critic.layers if not isinstance(x, torch.nn.InstanceNorm2d)))
        image = torch.rand(1, 3, 128, 128, requires_grad=True)
        layers(image)[0, 0, 7, 7].backward()
        rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
        assert int(rows.max() - rows.min()) + 1 == 70

    def test_critics_see_each_picture_alone(self):
        critic, x = Critic(4), torch.rand(3, 3, 32, 32)
        torch.testing.assert_close(critic(x)[1:2], critic(x[1:2]), rtol=1e-4, atol=1e-6)


class TestImagePool:
    def numbered(self, *numbers):
        return torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)

    def test_it_fills_first_and_then_exchanges(self):
        pool, rng = ImagePool(4), torch.Generator().manual_seed(0)
        for start in (0, 2):
            made = self.numbered(start, start + 1)
            torch.testing.assert_close(pool.exchange(made, rng), made)
        assert pool.pictures[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
        alive = {0.0, 1.0, 2.0, 3.0}
        for start in range(4, 40, 2):
            out = pool.exchange(self.numbered(start, start + 1), rng)[:, 0, 0, 0].tolist()
            alive |= {float(start), float(start + 1)}
            assert set(out) | set(pool.pictures[:, 0, 0, 0].tolist()) <= alive
            alive -= set(out)  # what came out is gone: nothing is doubled, nothing lost
            assert set(pool.pictures[:, 0, 0, 0].tolist()) == alive

    def test_half_of_what_comes_out_is_old(self):
        pool, rng = ImagePool(50), torch.Generator().manual_seed(1)
        pool.exchange(self.numbered(*range(50)), rng)
        fresh = [float(pool.exchange(self.numbered(100 + i), rng)[0, 0, 0, 0] == 100 + i) for i in range(400)]
        assert np.mean(fresh) == pytest.approx(0.5, abs=0.1)  # 4 standard errors of 400 coins

    @pytest.mark.parametrize("n", [3, 5, 9])
    def test_batches_larger_than_the_pool(self, n):
        pool, rng = ImagePool(3), torch.Generator().manual_seed(0)
        for _ in range(3):
            assert pool.exchange(self.numbered(*range(n)), rng).shape == (n, 3, 2, 2)
        assert len(pool.pictures) == 3

    def test_a_pool_is_read_with_its_size(self):
        pool, other = ImagePool(4), ImagePool(4)
        pool.exchange(self.numbered(7, 8, 9), torch.Generator())
        other.load_state_dict(pool.state_dict())
        torch.testing.assert_close(other.pictures, pool.pictures)


class TestFrechet:
    @pytest.mark.parametrize("counts", [(200, 300), (5, 7)])  # above and below the number of dimensions
    def test_it_is_the_formula_with_a_matrix_root(self, counts):
        rng = np.random.default_rng(0)
        a, b = (rng.normal(i, 1 + i, (n, 12)) @ rng.normal(size=(12, 12)) for i, n in enumerate(counts))
        covariances = np.cov(a.T), np.cov(b.T)
        root = sqrtm(covariances[0] @ covariances[1] + 1e-10 * np.eye(12)).real
        expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sum(covariances) - 2 * root)
        assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)

    def test_of_a_set_with_itself_it_is_0(self):
        rows = np.random.default_rng(0).normal(size=(9, 30))
        assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("shapes", [((1, 3), (4, 3)), ((4, 3), (4, 2))])
    def test_what_has_no_distance_is_refused(self, shapes):
        with pytest.raises(ValueError, match="two sets of >= 2 rows"):
            frechet_distance(*map(np.ones, shapes))

    def test_views_are_whole_and_corners(self):
        image = torch.zeros(2, 3, 64, 64)
        image[:, :, :16, :16] = 1  # outside of the other three corners, which begin at 16
        seen = views(image)
        assert seen.shape == (10, 3, SIDE, SIDE)
        assert [bool(v.amax() > 0.1) for v in seen[::2]] == [True, True, False, False, False]

    def test_rows_are_the_encoder_s(self):
        backbone = load_backbone("efficientnet-lite0", device="cpu")
        images = pictures(2, (SIDE, SIDE), seed=4)
        found, expected = embedded(backbone, as_tensor(images)), EfficientNetLite0(device="cpu").encode(images)
        cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
        assert cosine.min() > 0.999  # the encoder may run on another engine

    def test_the_domain_itself_has_no_distance_left(self, trained, red, blue):
        photos, styles = as_tensor(red.held_out(32)), as_tensor(replace(blue, held=8).held_out(32))
        found = distances(trained["cut"][2].backbone, photos, styles, styles)
        assert found["fid"] == pytest.approx(0, abs=1e-6)
        assert found["fid_before"] > 0


def test_held_out_style_pictures_are_never_drawn(blue):
    styles = split_style("cut", blue, 3)
    held = {p.tobytes() for p in styles.held_out(40)}
    assert len(held) == 8
    drawn = {styles.names[int(i)] for i in np.random.default_rng(0).integers(styles.held, len(styles.names), 500)}
    assert not drawn & set(styles.names[:8])
    assert split_style("cut", blue, 3).names == styles.names != split_style("cut", blue, 4).names


def test_same_seed_same_weights(red, blue):
    photos = as_tensor(red.held_out(32))
    for task_of, config, _ in KINDS.values():
        made = []
        for seed in (0, 0, 1):
            task = task_of(config, blue, seed=seed)
            task.step(photos[:2], torch.Generator().manual_seed(0))
            made.append(as_images(task.sample(photos)[0]))
        np.testing.assert_array_equal(made[0], made[1])
        assert (made[0] != made[2]).any()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("options", [{"size": "big"}, {"learning_rate": 0.0}, {"temperature": 0.0}, {"places": 1}])
def test_options_out_of_range_are_refused(kind, options):
    made = type(KINDS[kind][1])
    if set(options) <= set(vars(made())):
        with pytest.raises(ConfigError, match=f"{kind}: "):
            made(**options)


@pytest.mark.parametrize(
    ("made", "name"), [(CycleGanConfig, "cycle_weight"), (CycleGanConfig, "identity_weight"), (CutConfig, "nce_weight")]
)
def test_negative_weights_are_refused(made, name):
    with pytest.raises(ConfigError, match=f"{name} must be >= 0, got -1"):
        made(**{name: -1.0})
