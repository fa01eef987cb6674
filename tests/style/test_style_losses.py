"""Each loss against its definition, written as loops or solved in closed form."""

import numpy as np
import pytest
import torch

from style.encoders.trunk import gram_matrix
from style.losses import (
    ContentLoss,
    GramLoss,
    StatisticsLoss,
    adversarial_loss,
    channel_statistics,
    content_loss,
    cycle_loss,
    gram_loss,
    matting_laplacian,
    matting_loss,
    patch_nce_loss,
    statistics_loss,
    total_variation,
)


@pytest.fixture
def features():
    return torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))


def test_gram_loss_is_gatys_equation(features):
    target = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    for n in range(3):
        gram = np.zeros((4, 4))
        for i in range(4):
            for j in range(4):
                gram[i, j] = float((features[n, i] * features[n, j]).sum()) / 30
        expected = np.mean((gram - target.numpy()) ** 2)
        assert gram_loss(features, target)[n].item() == pytest.approx(expected, rel=1e-5)


def test_statistics_loss_vanishes_after_adain(features):
    """AdaIN itself (eq. 8): normalise, then take the style's statistics."""
    style = torch.randn(1, 4, 7, 7, generator=torch.Generator().manual_seed(2)) * 3 + 1
    mean, deviation = channel_statistics(features)
    target_mean, target_deviation = channel_statistics(style)
    normal = (features - mean[:, :, None, None]) / deviation[:, :, None, None]
    made = normal * target_deviation[:, :, None, None] + target_mean[:, :, None, None]
    assert statistics_loss(made, target_mean, target_deviation).max() < 1e-10
    assert statistics_loss(features, target_mean, target_deviation).min() > 1


def test_total_variation_counts_neighbours(features):
    x = features.numpy()
    down = [np.mean((x[n, :, 1:] - x[n, :, :-1]) ** 2) for n in range(3)]
    right = [np.mean((x[n, :, :, 1:] - x[n, :, :, :-1]) ** 2) for n in range(3)]
    np.testing.assert_allclose(total_variation(features), np.add(down, right), rtol=1e-5)
    assert total_variation(torch.rand(2, 3, 1, 1)).tolist() == [0, 0]


def test_patch_nce_is_a_cross_entropy_over_places():
    rng = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 5, 3, generator=rng), torch.randn(2, 5, 3, generator=rng)
    for n in range(2):
        total = 0.0
        for s in range(5):
            cosine = [float(torch.cosine_similarity(query[n, s], key[n, t], dim=0)) / 0.1 for t in range(5)]
            total -= cosine[s] - np.log(np.sum(np.exp(cosine)))
        assert patch_nce_loss(query, key, 0.1)[n].item() == pytest.approx(total / 5, rel=1e-4)


def test_nce_sends_no_gradient_to_the_original():
    query, key = (torch.randn(1, 4, 3).requires_grad_() for _ in range(2))
    patch_nce_loss(query, key).sum().backward()
    assert query.grad is not None
    assert key.grad is None


def test_a_perfect_critic_has_no_loss():
    assert adversarial_loss(torch.ones(2, 1, 3, 3), real=True).tolist() == [0, 0]
    assert adversarial_loss(torch.zeros(2, 1, 3, 3), real=False).tolist() == [0, 0]
    assert adversarial_loss(torch.ones(2, 1, 3, 3), real=False).tolist() == [1, 1]


class TestMatting:
    @pytest.fixture
    def image(self):
        return np.random.default_rng(0).integers(0, 256, (7, 6, 3), dtype=np.uint8)

    def test_it_is_the_least_squares_residual_of_local_affine_maps(self, image):
        """vᵀ L v = Σ over windows of min over (a, b) of ‖v - I a - b‖² + ε ‖a‖², Levin et al., eq. 2 and theorem 1."""
        v, colours, epsilon = np.random.default_rng(1).random((7, 6)), image / 255.0, 1e-4
        total = 0.0
        for y in range(5):
            for x in range(4):
                design = np.hstack([colours[y : y + 3, x : x + 3].reshape(9, 3), np.ones((9, 1))])
                padded = np.vstack([design, np.sqrt(epsilon) * np.eye(4)[:3]])
                wanted = np.append(v[y : y + 3, x : x + 3].ravel(), np.zeros(3))
                total += np.linalg.lstsq(padded, wanted, rcond=None)[1].item()
        assert v.ravel() @ (matting_laplacian(image) @ v.ravel()) == pytest.approx(total, rel=1e-8)

    def test_a_picture_that_is_affine_in_the_original_costs_nothing(self, image):
        laplacian = matting_laplacian(image).tocoo()
        index = torch.from_numpy(np.stack(laplacian.coords).astype(np.int64))
        sparse = torch.sparse_coo_tensor(
            index, torch.from_numpy(laplacian.data), laplacian.shape, check_invariants=True
        )
        colours = torch.from_numpy(image / 255.0).permute(2, 0, 1)[None]
        mixing = torch.tensor([[0.5, 0.2, 0.1], [0.0, 0.9, 0.0], [0.3, 0.3, 0.3]], dtype=torch.float64)
        graded = torch.einsum("ij,njhw->nihw", mixing, colours) + 0.1
        noisy = graded + 0.1 * torch.randn(graded.shape, generator=torch.Generator().manual_seed(0)).double()
        # ε ‖a‖² a window is left of it
        assert matting_loss(graded, sparse).item() < 3e-4
        assert matting_loss(noisy, sparse).item() > 100 * matting_loss(graded, sparse).item()


def test_modules_keep_their_targets(features):
    mean, deviation = channel_statistics(features[:1])
    gram = gram_matrix(features[:1])[0]
    for module, expected in (
        (ContentLoss(features[:1]), content_loss(features, features[:1])),
        (GramLoss(gram), gram_loss(features, gram)),
        (StatisticsLoss(mean[0], deviation[0]), statistics_loss(features, mean[0], deviation[0])),
    ):
        torch.testing.assert_close(module(features), expected)
        assert expected[0] < 1e-10 < expected[1]
        assert len(module.state_dict()) == len(list(module.buffers()))


def test_images_of_a_batch_never_see_each_other(features):
    alone = [cycle_loss(features[i : i + 1], features[i : i + 1] * 0.5) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), cycle_loss(features, features * 0.5))
