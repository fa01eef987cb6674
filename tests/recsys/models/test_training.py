"""Oracle: the objective of a step written out with dense matrices, and autograd of it."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from model_contract import shop
from test_losses import WRITTEN_OUT

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.models.blocks import fit_transform
from recsys.models.crew import ALONE
from recsys.models.hybrid import HybridModel
from recsys.models.tower import Source

NOT_COLD = slice(0, 30)


class Recorder:
    """An optimiser that keeps gradients and changes nothing."""

    def __init__(self):
        self.gradients = {}

    def step(self, parameter, rows, gradient, rate, decay, crew=None):
        whole = torch.zeros_like(parameter)
        whole[slice(None) if rows is None else rows] = gradient
        self.gradients[id(parameter)] = whole * (torch.as_tensor(rate) > 0)


def as_they_are(matrices):
    blocks = tuple(FeatureBlock(f"block {i}", m) for i, m in enumerate(matrices))
    table = FeatureTable(IdMap.of([str(i) for i in range(matrices[0].shape[0])]), blocks)
    return Source(tuple(fit_transform(b, raw=True) for b in blocks), table)


def trainer_of(options, seed=3):
    data = shop()
    history = data.matrix.copy()
    history.eliminate_zeros()
    history = history[:, NOT_COLD]
    rng = np.random.default_rng(seed)
    items = [
        rng.normal(size=(30, 5)).astype(np.float32),
        sp.csr_array(sp.random_array((30, 4), density=0.3, rng=rng, dtype=np.float32)),
    ]
    users = [rng.normal(size=(12, 3)).astype(np.float32)]
    trainer = options._trainer(history, as_they_are(users), as_they_are(items), torch.device("cpu"))
    for parameter in (
        trainer.user.ids,
        trainer.item.ids,
        trainer.unknown,
        *(t for s in (trainer.user, trainer.item) for t in (s.dense_weight, s.sparse_weight)),
    ):
        parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape) * 0.5))
    object.__setattr__(trainer, "optimiser", Recorder())
    return trainer, items, users


def dense_objective(trainer, items, users, chosen, leaves):
    """The summed loss of a step: plain matrices, one pair at a time."""
    user_ids, item_ids, unknown, user_w, item_w, item_s = leaves
    o = trainer.options
    where, batch = trainer._batch(chosen)
    kept = trainer._kept(30 if where is None else len(where))
    where = torch.arange(30) if where is None else where
    content = torch.from_numpy(items[0]) @ item_w + torch.from_numpy(items[1].toarray()) @ item_s
    vectors = content[where] + (item_ids[where] if kept is None else torch.where(kept, item_ids[where], unknown))
    people = user_ids + torch.from_numpy(users[0]) @ user_w
    negatives = torch.arange(len(where)) if batch.negatives is None else batch.negatives
    total = torch.zeros(())
    dense = torch.zeros(len(chosen), len(where))
    dense[batch.everything.row, batch.everything.column] = batch.everything.value
    for r in range(batch.n_rows):
        mine = batch.item[batch.row == r]
        person = people[chosen[batch.owner[r]]].clone()
        has = dense[batch.owner[r]]
        if o.history:
            rest = has.clone()
            rest[mine] = 0
            if rest.sum() > 0:
                person = person + torch.cat([(rest @ content[where])[:-1] / rest.sum(), torch.zeros(1)])
        scores = vectors[:, :-1] @ person[:-1] + vectors[:, -1] + person[-1] * (o.loss == "logistic")
        rivals = scores[negatives[has[negatives] == 0]]
        for item, weight in zip(mine, batch.weight[batch.row == r], strict=True):
            total = total + weight * pair_loss(o.loss, scores[item], rivals, len(negatives), batch.scale)
    return total


def pair_loss(name, positive, rivals, s, scale):
    if name == "softmax":
        return torch.log(positive.exp() + scale * rivals.exp().sum()) - positive
    if name == "warp":
        violators = rivals[rivals.detach() > positive.detach() - 1]
        weight = math.log1p(len(violators) * scale) / math.log1p(s * scale)
        return weight * (1 - positive + violators).sum() / max(len(violators), 1)
    return WRITTEN_OUT[name](positive, rivals, s)


@pytest.mark.parametrize("negatives", [10**6, 12])
@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("loss", ["softmax", "warp", "bpr", "logistic"])
def test_the_gradients_of_a_step_are_those_of_the_objective(loss, history, negatives):
    options = HybridModel(factors=6, loss=loss, history=history, folds=3, negatives=negatives)
    trainer, items, users = trainer_of(options)
    parameters = [
        trainer.user.ids,
        trainer.item.ids,
        trainer.unknown,
        trainer.user.dense_weight,
        trainer.item.dense_weight,
        trainer.item.sparse_weight,
    ]
    chosen, state = torch.tensor([4, 0, 7, 9]), trainer.rng.get_state()
    leaves = [p.clone().requires_grad_() for p in parameters]
    objective = dense_objective(trainer, items, users, chosen, leaves)
    expected = torch.autograd.grad(objective, leaves)
    trainer.rng.set_state(state)
    loss_of_step = trainer._step(chosen, ALONE)
    assert loss_of_step == pytest.approx(float(objective.detach()), rel=1e-4)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(trainer.optimiser.gradients[id(parameter)], gradient, rtol=1e-3, atol=1e-4)


def test_every_pair_is_predicted_once_an_epoch_and_never_from_itself():
    trainer, *_ = trainer_of(HybridModel(factors=4, folds=3))
    users = torch.arange(11)
    _, batch = trainer._batch(users)
    got = sorted(zip(users[batch.owner[batch.row]].tolist(), batch.item.tolist(), strict=True))
    history = trainer.history
    assert got == sorted(zip(history.row.tolist(), history.column.tolist(), strict=True))
    sizes = torch.bincount(batch.row)
    n_items = history.starts.diff()[users[batch.owner]]
    assert ((sizes - n_items / 3).abs() < 1).all()  # even folds
