"""Candidates of a few users over a small shop, drawn at random."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.rerank.known import Known

N_ITEMS = 40
ITEMS = IdMap.of([f"i{i}" for i in range(N_ITEMS)])


def candidates(n_users=5, n=12, seed=0, short=True):
    """Lists of ``n`` distinct items, the last user's only 3 long; scores fall and may be negative."""
    rng = np.random.default_rng(seed)
    lengths = [n] * (n_users - 1) + [3 if short else n]
    users = np.repeat([f"u{u}" for u in range(n_users)], lengths)
    items = np.concatenate([rng.permutation(N_ITEMS)[:m] for m in lengths])
    score = np.concatenate([np.sort(rng.normal(size=m))[::-1] for m in lengths])
    rank = np.concatenate([np.arange(m) + 1 for m in lengths])
    return Recommendations.of(users, [f"i{i}" for i in items], score, rank)


def shop(n_users=5, seed=0):
    """Two feature blocks, a category, a seller, a price, a date, counts, and histories (the first user has none)."""
    rng = np.random.default_rng(seed)
    look = rng.normal(size=(N_ITEMS, 6)).astype(np.float32)
    look[3] = 0  # nothing is known of one item
    category = rng.choice(["bag", "hat", "shoe", ""], N_ITEMS)
    catalog = pd.DataFrame(
        {
            "item_id": ITEMS.ids,
            "category": category.astype(object),
            "seller": rng.integers(0, 4, N_ITEMS),
            "price": np.where(rng.random(N_ITEMS) < 0.1, np.nan, rng.gamma(2, 20, N_ITEMS)),
            "launched": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 200, N_ITEMS), unit="D"),
            "shown": rng.integers(0, 1000, N_ITEMS),
        }
    )
    features = FeatureTable(ITEMS, (FeatureBlock("look", look), FeatureBlock.one_hot("kind", category)))
    history = sp.csr_array(sp.random_array((n_users, N_ITEMS), density=0.2, rng=rng, format="csr"))
    history = sp.csr_array(history.multiply((np.arange(n_users) > 0)[:, None]))
    history.eliminate_zeros()
    return Known(ITEMS, features, catalog, IdMap.of([f"u{u}" for u in range(n_users)]), history)
