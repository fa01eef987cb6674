"""The one door to optional packages: a missing one is answered with the extra that brings it."""

from __future__ import annotations

import importlib
from types import ModuleType

from recsys.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import ``module`` or say which extra installs it.

    Raises:
        MissingExtraError: The package is not installed.

    Example:
        >>> require("json", extra="none").loads("[1]")
        [1]
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is needed here but cannot be imported ({error}); "
            f"install it with: pip install 'stylerec[{extra}]'"
        ) from error
