"""Photoreal: bands add up, the style's moments are reached, edges correlate as asked; matting keeps locally affine."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ConfigError
from style.base import StyleCode
from style.distance import sliced_wasserstein
from style.encoders.trunk import gram_matrix
from style.losses import matting_laplacian, matting_loss
from style.perception import as_tensor, strips
from style.stylizers.matting import PhotorealMatting, Windows, region_grams
from style.stylizers.photoreal import Photoreal, covariance, edge_correlation, lab_of
from style.wavelet import pyramid, split


class TestPhotoreal(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return Photoreal()


class TestWithoutScales(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return Photoreal(scales=0)


def soft(seed, low, high, size=(48, 40)):
    """Colours well inside the gamut, so that nothing is clipped."""
    return (low + pictures(1, size, seed=seed) / 255 * (high - low)).astype(np.uint8)


class TestWavelet:
    @pytest.mark.parametrize("size", [(16, 16), (17, 31), (5, 40)])
    def test_bands_add_up(self, size):
        planes = np.random.default_rng(0).normal(size=(3, *size))
        bands, rest = pyramid(planes, 5)
        np.testing.assert_allclose(rest + sum(b.details for b in bands), planes, atol=1e-12)

    @pytest.mark.parametrize("scale", [0, 1, 3])
    def test_it_is_haar_averaged_over_all_shifts(self, scale):
        """Analysis with (1, 1) / 2, keep the low band, synthesis with its mirror, at every shift of the grid."""
        gap, row = 1 << scale, np.random.default_rng(1).normal(size=64)
        wide = np.pad(row, gap, mode="edge")
        low = (wide[:-gap] + wide[gap:]) / 2
        np.testing.assert_allclose(split(row[None], scale).low[0], (low[:-gap] + low[gap:]) / 2)

    def test_upright_and_level_edges_go_to_their_own_bands(self):
        upright = np.repeat(np.array([[0.0] * 8 + [9.0] * 8]), 16, axis=0)
        bands = split(upright, 0)
        assert np.abs(bands.across).max() > 1
        assert np.abs(bands.down).max() == np.abs(bands.both).max() == 0
        np.testing.assert_array_equal(split(upright.T, 0).down, bands.across.T)


def test_mean_and_covariance_are_the_styles():
    """Where no gain is bounded, to the accuracy of float32."""
    stylizer = Photoreal(gain=1e3, detail_gain=1.5)
    code = stylizer.encode(soft(3, 90, 180))
    target = {name: array.astype(np.float64) for name, array in code.arrays.items()}
    moved = stylizer.transfer(lab_of(soft(1, 60, 150)[0]), target, -2)
    np.testing.assert_allclose(moved.mean(axis=(1, 2)), target["mean"], atol=1e-3)
    np.testing.assert_allclose(covariance(moved), target["covariance"], rtol=1e-3, atol=1e-2)


def test_details_lean_to_the_styles_share_as_far_as_the_gain_goes():
    """A blurred style asks for less of the finest band: 1 / 1.25 of the amplitude, against scales = 0."""
    size = (256, 192)
    photo = soft(1, 60, 190, size)
    plain = np.repeat(np.repeat(soft(2, 60, 190, (16, 12)), 16, axis=1), 16, axis=2)
    fine = []
    for scales in (0, 4):
        stylizer = Photoreal(scales=scales, min_edge=-1)
        made = lab_of(stylizer.apply(photo, stylizer.encode(plain))[0])
        fine.append(np.std(split(made, 0).both))
    assert fine[1] / fine[0] == pytest.approx(1 / 1.25, rel=0.06)  # the last map stretches all that is left


def test_its_own_style_changes_next_to_nothing():
    """What is left are 8 bits: at most 1."""
    photo = soft(5, 40, 200, (64, 64))
    stylizer = Photoreal()
    assert np.abs(stylizer.apply(photo, stylizer.encode(photo)).astype(int) - photo).max() <= 1


def test_edges_correlate_as_asked_and_colours_come_closer():
    photos, style = pictures(6, (64, 48), seed=2), pictures(1, (64, 64), seed=8) // 3 + 20
    loose, strict = Photoreal(min_edge=-1), Photoreal(min_edge=0.985)
    code = strict.encode(style)
    edges = {
        s: [edge_correlation(a, b) for a, b in zip(photos, s.apply(photos, code), strict=True)] for s in (loose, strict)
    }
    assert min(edges[loose]) < 0.985  # else this test would see nothing
    assert min(edges[strict]) >= 0.985
    for before, after in zip(photos, strict.apply(photos, code), strict=True):
        assert sliced_wasserstein(after, style[0]) < sliced_wasserstein(before, style[0])


def test_a_white_ground_stays_even():
    """Noise of one level on white must not be blown up: its spread stays within the colour gain of 2."""
    rng = np.random.default_rng(0)
    photo = np.full((1, 96, 96, 3), 250, np.uint8)
    photo[0, 30:60, 30:60] = (150, 40, 60)
    photo += rng.integers(0, 2, photo.shape, dtype=np.uint8)
    stylizer = Photoreal()
    made = stylizer.apply(photo, stylizer.encode(pictures(1, (96, 96), seed=1)))
    assert made[0, :20].std(axis=(0, 1)).max() <= 2 * photo[0, :20].std(axis=(0, 1)).max() + 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": 7}, r"scales must be in 0\.\.6, got 7"),
        ({"gain": 0.5}, "must be >= 1, got 0.5 and 1.25"),
        ({"min_edge": 2.0}, r"min_edge must be in -1\.\.1, got 2"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Photoreal(**options)


def test_a_code_of_other_scales_is_refused():
    code = Photoreal(scales=2).encode(pictures(1))
    with pytest.raises(ConfigError, match="the code has 2 scales, expected 4"):
        Photoreal().apply(pictures(1), StyleCode("photoreal", code.arrays))


class TestMatting(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return PhotorealMatting(backbone="random", steps=6, device="cpu")


class TestMattingByRegions(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return PhotorealMatting(backbone="random", steps=4, device="cpu", regions=True)


class TestWindows:
    def test_the_misfit_is_the_matting_laplacians_and_so_is_its_gradient(self):
        """Oracle: the sparse matrix of Levin et al., picture by picture; float32 of moments leaves 1e-3."""
        photos = pictures(2, (18, 23))
        x = torch.rand(2, 3, 18, 23, generator=torch.Generator().manual_seed(0)).requires_grad_()
        found = Windows.of(as_tensor(photos), 1, 1e-4 / 9, border=False).misfit(x)
        matrices = [sparse(matting_laplacian(photo)) for photo in photos]
        expected = torch.cat([matting_loss(x[i : i + 1], m) for i, m in enumerate(matrices)])
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
        ours, theirs = (torch.autograd.grad(loss.sum(), x)[0] for loss in (found, expected))
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-4)

    def test_an_affine_function_of_the_photo_is_fitted_exactly(self):
        photo = as_tensor(pictures(1, (32, 32)))
        matrix, constant = torch.tensor([[0.5, 0.2, 0.0], [0.0, 0.7, 0.1], [0.1, 0.0, 0.4]]), 0.1
        made = torch.einsum("ij,njxy->nixy", matrix, photo) + constant
        maps = Windows.of(photo, 8, 1e-7).fit(made)
        torch.testing.assert_close(maps[0, :9, 16, 16].view(3, 3), matrix, rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(maps[0, 9:, 16, 16], torch.full((3,), constant), rtol=1e-2, atol=1e-2)


def sparse(matrix):
    found = matrix.tocoo()
    values = torch.from_numpy(found.data).float()
    return torch.sparse_coo_tensor(np.stack(found.coords), values, matrix.shape, check_invariants=True)


def test_region_grams_are_gram_matrices_of_each_part():
    """Oracle: `gram_matrix` of the columns that the region has."""
    features = torch.rand(1, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    left = torch.zeros(1, 1, 12, 16)
    left[..., :8] = 1
    found = region_grams(features, torch.cat([left, 1 - left], dim=1))
    torch.testing.assert_close(found[:, 0], gram_matrix(features[..., :4]))
    torch.testing.assert_close(found[:, 1], gram_matrix(features[..., 4:]))


def test_a_matting_weight_keeps_the_optimised_picture_affine_in_the_photo():
    photos, style = as_tensor(pictures(2, (48, 48))), pictures(1, (48, 48), seed=4)
    bent = []
    for weight in (0.0, 1e4):
        stylizer = PhotorealMatting(backbone="random", steps=30, device="cpu", matting_weight=weight)
        grams = {k: torch.from_numpy(a) for k, a in stylizer.encode(style).arrays.items()}
        bent.append(Windows.of(photos, 1, 1e-4 / 9, border=False).misfit(stylizer.optimise(photos, grams)))
    assert (bent[1] < bent[0] / 4).all()


def test_edges_of_a_photo_larger_than_what_was_optimised_are_kept():
    """A step edge of a photo four times the side stays one pixel wide: no change is blurred over it."""
    photo = np.full((1, 128, 128, 3), 60, np.uint8)
    photo[:, :, 64:] = 190
    stylizer = PhotorealMatting(backbone="random", steps=10, device="cpu", side=32)
    made = stylizer.apply(photo, stylizer.encode(pictures(1, seed=3)))[0].astype(int)
    assert np.abs(made - photo[0]).max() > 5  # else nothing was painted
    assert edge_correlation(photo[0], made.astype(np.uint8)) >= 0.95
    step = np.abs(made[:, 64] - made[:, 63]).mean()
    beside = max(np.abs(made[:, 63] - made[:, 62]).mean(), np.abs(made[:, 65] - made[:, 64]).mean())
    assert step > 20 * max(beside, 1)


@pytest.mark.parametrize("options", [{"matting_weight": -1.0}, {"min_edge": 3.0}])
def test_matting_refuses_what_cannot_be(options):
    with pytest.raises(ConfigError, match="matting_weight must be >= 0 and min_edge in"):
        PhotorealMatting(backbone="random", device="cpu", **options)


def test_matting_refuses_a_code_without_its_regions():
    plain, regions = (PhotorealMatting(backbone="random", device="cpu", regions=r) for r in (False, True))
    with pytest.raises(ConfigError, match="not of 2 regions"):
        regions.apply(pictures(1), plain.encode(pictures(1)))


class TestLargePhotos:
    """Photos longer than `LARGE` go through in strips; their result must be that of the same photo in its size."""

    @pytest.mark.parametrize("size", [(48, 40), (61, 150), (16, 401)])
    def test_strips_are_the_whole(self, size, monkeypatch):
        monkeypatch.setattr("style.perception.STRIP", 300)
        maps = torch.rand(3, 12, 9, generator=torch.Generator().manual_seed(0))
        whole = torch.nn.functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
        parts = list(strips(maps, *size))
        assert len(parts) > 1
        assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(size[0]))
        torch.testing.assert_close(torch.cat([part for _, part in parts], dim=1), whole, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Photoreal(min_edge=-1),
            lambda: PhotorealMatting(steps=3, side=64, min_edge=-1, backbone="random"),
        ],
    )
    def test_a_photo_looked_at_in_half_its_size_comes_out_alike(self, make, monkeypatch):
        """Of smooth photos half the size tells all: what differs is less than a tenth of what is changed."""
        rng = np.random.default_rng(4)
        noise = gaussian_filter(rng.normal(0, 1500, (2, 256, 200, 3)), (0, 9, 9, 0))
        photo, style = (np.clip(noise[i : i + 1] + 90 + 60 * i, 0, 255).astype(np.uint8) for i in range(2))
        stylizer = make()
        code = stylizer.encode(style)
        exact = stylizer.apply(photo, code).astype(int)
        monkeypatch.setattr("style.stylizers.photoreal.LARGE", 128)
        made = stylizer.apply(photo, code).astype(int)
        assert np.abs(made - exact).mean() < 0.1 * np.abs(exact - photo).mean()
