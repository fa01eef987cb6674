"""What shops report: impressions, clicks, carts and purchases; and what the service itself notes, exposures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Kind = Literal["impression", "click", "cart", "purchase"]
KINDS: tuple[Kind, ...] = ("impression", "click", "cart", "purchase")
EXPOSURE: Literal["exposure"] = "exposure"
MOST_EVENTS = 500
"""In one request."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]+$")]
"""Of a user, an item or a page, without NUL."""


class Event(BaseModel):
    """Something that a customer saw or did."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "event": "click",
                    "user_id": "00411",
                    "item_id": "0108775015",
                    "presentation": "retro",
                    "position": 2,
                    "propensity": 0.62,
                    "page_id": "5b0c7e",
                    "event_id": "5b0c7e-click-2",
                }
            ]
        },
    )

    event: Kind
    user_id: Id
    item_id: Id
    presentation: Id = "original"
    position: Annotated[int, Field(ge=0, le=100_000)] | None = None
    propensity: Annotated[float, Field(gt=0, le=1)] | None = None
    page_id: Id | None = None
    event_id: Id | None = None


class Events(BaseModel):
    """Several events, stored together: all of them or none."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[list[Event], Field(min_length=1, max_length=MOST_EVENTS)]


class Stored(BaseModel):
    """What was put on disk."""

    stored: Annotated[int, Field(examples=[2])]


class Record(BaseModel):
    """An event as it lies in the log.

    Attributes:
        timestamp: When the service took it, UTC, ISO 8601.
        experiment: Salt of the test that ran then; None where none did.
    """

    event: Kind | Literal["exposure"]
    user_id: str
    item_id: str = ""
    presentation: str = ""
    position: int | None = None
    propensity: float | None = None
    page_id: str | None = None
    event_id: str | None = None
    arm: str | None = None
    experiment: str | None = None
    timestamp: str

    def to_bytes(self) -> bytes:
        """One line of JSON; what is not known is left out."""
        return self.model_dump_json(exclude_none=True).encode()


def now() -> str:
    """The time, as records have it.

    Example:
        >>> now().endswith("Z")
        True
    """
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
