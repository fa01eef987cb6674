"""Several models, one list: their scores blended, warm and cold items each with weights of their own.

A model that knows what sells says nothing of what is new, and the other way round. So weights are tuned on
held-out interactions for items with a past and for items without apart, and an offset then sets the two halves
against each other such that lists hold as large a share of new items as people will choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.config import from_mapping
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.explain.contributions import ANYTHING, ITSELF, Contributions, Explainable, Question, merged, shift
from recsys.models.base import Scores
from recsys.models.blending import BLENDS, spread, tuned_weights
from recsys.models.calibration import cold_offset, expected_cold_share
from recsys.models.fitted import Arrays, FittedModel, Similarity, as_seen, fitted_base
from recsys.models.validation import Holdout
from recsys.registry import component
from recsys.retrieval.factors import Factors
from recsys.topk import Ints, Mask


@dataclass(frozen=True)
class Member:
    """A model of an ensemble.

    Attributes:
        model: Its registered name.
        options: Its configuration; what is not named has the model's default.

    Example:
        >>> Member("popularity", {"half_life_days": 30.0}).make()
        Popularity(half_life_days=30.0)
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        """The model, not yet fitted.

        Raises:
            ConfigError: There is no such model, it is an ensemble itself, or an option does not exist.
        """
        if self.model == FittedEnsemble.model:
            raise ConfigError("an ensemble cannot be a member of an ensemble; name its members instead")
        return from_mapping(component("models", self.model), self.options, where=f"members.{self.model}")


@dataclass(frozen=True, eq=False)
class FittedEnsemble(FittedModel):
    """Fitted members and how they are weighed.

    Attributes:
        members: In the order of the configuration.
        weights: (2, n_members) float32, of cold items and of warm items; each row sums to 1.
        offset: (1,) float32, added to cold items' scores.
        warm: (n_items,) whether an item had interactions.
    """

    model: ClassVar[str] = "ensemble"
    members: tuple[FittedModel, ...]
    weights: Scores
    offset: Scores
    warm: Mask

    def _score_block(self, user_idx: Ints) -> Scores:
        out = np.zeros((len(user_idx), len(self.items)), np.float32)
        groups = [np.flatnonzero(self.warm == known) for known in (False, True)]
        for j, member in enumerate(self.members):
            if not self.weights[:, j].any():
                continue
            scores = member._score_block(user_idx)
            for columns, weight in zip(groups, self.weights[:, j], strict=True):
                if len(columns) and weight:
                    out[:, columns] += weight * BLENDS[self.config.blend](scores[:, columns])
        out[:, groups[0]] += self.offset
        return out

    def with_item_features(self, table: FeatureTable) -> FittedEnsemble:
        """The same members looking at other pictures; those that do not look stay as they are.

        Raises:
            DataError: A block is missing or has other columns.
            UnknownIdError: The table lacks an item.
        """
        looking = tuple(m.with_item_features(table) if hasattr(m, "with_item_features") else m for m in self.members)
        return replace(self, members=looking)

    def partial_fit(self, dataset: Dataset) -> FittedEnsemble:
        """Every member beside the new dataset; weights and offset stay.

        Raises:
            ConfigError: A member cannot.
        """
        members = tuple(m.partial_fit(dataset) for m in self.members)
        return replace(self, **fitted_base(self.config, dataset), members=members, warm=dataset.is_warm)

    def _with_users(self, users: IdMap, history: sp.csr_array) -> FittedEnsemble:
        members = tuple(m._with_users(users, history) for m in self.members)
        return replace(self, users=users, seen=as_seen(history), members=members)

    def contributions(self, question: Question) -> Contributions:
        """The members' parts, each scaled as the blend scales its scores, and what brings them onto one scale.

        A standardised score is (s - mean) / deviation over the user's warm, or cold, items: the first is scaled, the
        second is the same for every item of the half and no reason for any. The cold items' offset is an item's bias.

        Raises:
            ConfigError: Ranks are blended, or a member cannot say why.
        """
        if self.config.blend != "weighted":
            raise ConfigError(f"an ensemble of blend {self.config.blend!r} has no parts; explain a member instead")
        warm = bool(self.warm[question.item])
        half, parts = np.flatnonzero(self.warm == warm), [shift(0.0 if warm else float(self.offset[0]), ITSELF)]
        for member, weight in zip(self.members, self.weights[int(warm)], strict=True):
            mean, deviation = spread(member._score_block(np.array([question.user]))[:, half])
            if weight and deviation[0, 0]:
                if not isinstance(member, Explainable):
                    raise ConfigError(f"{member.model} cannot say why, so its ensemble cannot either")
                scale = float(weight / deviation[0, 0])
                parts += [member.contributions(question).scaled(scale), shift(-scale * float(mean[0, 0]), ANYTHING)]
        return merged(parts)

    def _item_similarity(self) -> tuple[Similarity, Mask]:
        return self._mean_similarity("item")

    def _user_similarity(self) -> tuple[Similarity, Mask]:
        return self._mean_similarity("user")

    def _mean_similarity(self, side: Literal["item", "user"]) -> tuple[Similarity, Mask]:
        """The mean cosine over the members that know any."""
        hooks = [f"_{side}_similarity", f"_{side}_vectors"]
        able = [m for m in self.members if any(getattr(type(m), h) is not getattr(FittedModel, h) for h in hooks)]
        if not able:
            raise ConfigError(f"no member knows similar {side}s; add one with {side} vectors (als, content, hybrid)")
        parts = [getattr(m, hooks[0])() for m in able]
        blocks = [part.block if isinstance(part, Factors) else part for part, _ in parts]
        known: Mask = np.any([mask for _, mask in parts], axis=0)
        return lambda rows: np.mean([block(rows) for block in blocks], axis=0, dtype=np.float32), known

    def arrays(self) -> Arrays:
        """Weights, and each member's arrays under its number."""
        packed: Arrays = {"weights": self.weights, "offset": self.offset, "warm": self.warm}
        for i, member in enumerate(self.members):
            packed |= {f"member{i}.{name}": array for name, array in member.arrays().items()}
        return packed

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        members = []
        for i, member in enumerate(base["config"].members):
            config, prefix = member.make(), f"member{i}."
            own = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
            members.append(config.fitted.from_arrays({**base, "config": config}, own))
        named: dict[str, Any] = {name: arrays[name] for name in ("weights", "offset", "warm")}
        shapes = {"weights": (2, len(members)), "offset": (1,), "warm": (len(base["items"]),)}
        for name, shape in shapes.items():
            if named[name].shape != shape:
                raise DataError(f"{name} has shape {named[name].shape}, expected {shape}")
        return cls(**base, **named, members=tuple(members))


@dataclass(frozen=True)
class Ensemble:
    """Blends the members' scores, by weights that the latest interactions favour.

    Attributes:
        members: The models.
        blend: ``weighted`` adds scores, standardised a user; ``reciprocal-rank`` adds 1 / (60 + rank).
        weights: One a member, for warm and cold items alike; () tunes them on held-out interactions.
        validation: The latest share of the interactions: weights are tuned on it, and the ages of its items say how
            many cold ones lists should hold; 0, with ``weights`` given, leaves the cold items' offset at 0.
        horizon_days: How long lists will be shown before the next fit: the longer, the more of what is bought is new.
            0: as long as the validation took.

    Example:
        >>> Ensemble(members=(Member("popularity"), Member("als")), weights=(0.5,))
        Traceback (most recent call last):
        recsys.errors.ConfigError: weights must be one a member (2), got 1; omit them to tune them
    """

    fitted: ClassVar[type[FittedEnsemble]] = FittedEnsemble

    members: tuple[Member, ...] = (Member("popularity"), Member("hybrid"))
    blend: Literal["weighted", "reciprocal-rank"] = "weighted"
    weights: tuple[float, ...] = ()
    validation: float = 0.2
    horizon_days: float = 0.0

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError("an ensemble needs at least one member, got none")
        if self.blend not in BLENDS:
            raise ConfigError(f"blend must be one of {', '.join(BLENDS)}, got {self.blend!r}")
        if not 0 <= self.validation < 1:
            raise ConfigError(f"validation must be in [0, 1), got {self.validation}")
        if not 0 <= self.horizon_days < np.inf:
            raise ConfigError(f"horizon_days must be >= 0, got {self.horizon_days}; 0 takes the validation's")
        if self.weights and len(self.weights) != len(self.members):
            raise ConfigError(
                f"weights must be one a member ({len(self.members)}), got {len(self.weights)}; omit them to tune them"
            )
        if self.weights and not (min(self.weights) >= 0 and 0 < sum(self.weights) < np.inf):
            raise ConfigError(f"weights must be >= 0 and not all 0, got {list(self.weights)}")
        if not self.weights and not self.validation:
            raise ConfigError("validation = 0 leaves nothing to tune weights on; give weights, or a share such as .2")
        for member in self.members:
            member.make()

    @property
    def uses_features(self) -> Literal["no", "optional", "required"]:
        """What the neediest member needs."""
        needs: list[Literal["no", "optional", "required"]] = ["no", "optional", "required"]
        return needs[max(needs.index(member.make().uses_features) for member in self.members)]

    def fit(self, dataset: Dataset) -> FittedEnsemble:
        """Rehearse on the past to weigh the members, fit them on everything, and place the cold items.

        Raises:
            DataError: A member refuses the dataset, or the validation finds no timestamps or too little.
        """
        weights = self._given() if self.weights else self._tuned(dataset)
        fitted = FittedEnsemble(
            **fitted_base(self, dataset),
            members=self._fit_members(dataset),
            weights=weights,
            offset=np.zeros(1, np.float32),
            warm=dataset.is_warm,
        )
        if not self.validation:
            return fitted
        offset = cold_offset(fitted, dataset, expected_cold_share(dataset, self.horizon_days, recent=self.validation))
        return replace(fitted, offset=np.array([offset], np.float32))

    def _fit_members(self, dataset: Dataset) -> tuple[FittedModel, ...]:
        return tuple(member.make().fit(dataset) for member in self.members)

    def _given(self) -> Scores:
        weights = np.asarray(self.weights, np.float64) / max(self.weights)
        return np.tile(weights / weights.sum(), (2, 1)).astype(np.float32)

    def _tuned(self, dataset: Dataset) -> Scores:
        holdout = Holdout.of(dataset, self.validation)
        members = self._fit_members(holdout.past)
        return tuned_weights([m._score_block for m in members], holdout, BLENDS[self.blend])
