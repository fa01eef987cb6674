"""How people respond to a page: click models, what a look does to them, and their calibration to logs."""

from evaluation.response.base import ResponseModel
from evaluation.response.chain import Cascade, DynamicBayesian
from evaluation.response.choice import Choice
from evaluation.response.position import PositionBased

RESPONSES: dict[str, type[PositionBased | Cascade | DynamicBayesian | Choice]] = {
    model.name: model for model in (PositionBased, Cascade, DynamicBayesian, Choice)
}
"""The response models by name."""

__all__ = ["RESPONSES", "Cascade", "Choice", "DynamicBayesian", "PositionBased", "ResponseModel"]
