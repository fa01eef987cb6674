"""The nouns that every part shares."""

from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.presentation import Presentation, Presentations
from recsys.data.recommendations import ORIGINAL, Recommendations

__all__ = [
    "ORIGINAL",
    "Catalog",
    "Dataset",
    "FeatureBlock",
    "FeatureTable",
    "IdMap",
    "Interactions",
    "Presentation",
    "Presentations",
    "Recommendations",
]
