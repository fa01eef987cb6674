"""A sample store that is drawn and simulated: products with a true style, customers with a true taste."""

from evaluation.sample.clicks import ClickModel
from evaluation.sample.draw import CATEGORIES, draw_item
from evaluation.sample.palettes import STYLES
from evaluation.sample.store import Truth, write_store

__all__ = ["CATEGORIES", "STYLES", "ClickModel", "Truth", "draw_item", "write_store"]
