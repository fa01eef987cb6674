"""Oracle: torch's own optimisers."""

import pytest
import torch

from recsys.models.optimisers import AdaGrad, Adam

PEERS = {
    AdaGrad: lambda p: torch.optim.Adagrad([p], lr=0.1, eps=1e-6, weight_decay=0.01),
    Adam: lambda p: torch.optim.Adam([p], lr=0.1, eps=1e-8, weight_decay=0.01),
}


def gradient_of(step, shape):
    return torch.sin(torch.arange(float(shape[0] * shape[1])) + step).reshape(shape)


@pytest.mark.parametrize("cls", PEERS)
def test_all_rows_equal_torch(cls):
    ours, theirs = (torch.arange(12.0).reshape(4, 3) for _ in range(2))
    peer, optimiser = PEERS[cls](theirs.requires_grad_()), cls()
    for step in range(6):
        theirs.grad = gradient_of(step, (4, 3))
        peer.step()
        optimiser.step(ours, None, gradient_of(step, (4, 3)), 0.1, 0.01)
    torch.testing.assert_close(ours, theirs.detach())


@pytest.mark.parametrize("cls", PEERS)
def test_chosen_rows_move_as_if_the_others_were_not_there(cls):
    ours, theirs = torch.arange(12.0).reshape(4, 3), torch.arange(12.0).reshape(4, 3)[[2, 0]]
    peer, optimiser = PEERS[cls](theirs.requires_grad_()), cls()
    for step in range(6):
        theirs.grad = gradient_of(step, (2, 3))
        peer.step()
        optimiser.step(ours, torch.tensor([2, 0]), gradient_of(step, (2, 3)), 0.1, 0.01)
    torch.testing.assert_close(ours[[2, 0]], theirs.detach())
    assert ours[[1, 3]].tolist() == [[3, 4, 5], [9, 10, 11]]


@pytest.mark.parametrize("cls", PEERS)
def test_a_rate_of_zero_holds_a_column_still(cls):
    ours, optimiser = torch.ones(2, 3), cls()
    optimiser.step(ours, None, torch.ones(2, 3), torch.tensor([[0.1, 0.1, 0.0]]), 0.0)
    assert (ours[:, 2] == 1).all()
    assert (ours[:, :2] < 1).all()
