"""What requests and answers look like: the types behind the OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shop.events import Id

MOST_ITEMS = 200
"""Of one list."""
MOST_USERS = 100
"""Of one batch."""
MOST_IDS = 1000
"""Of allow and deny."""
K = Annotated[int, Field(ge=1, le=MOST_ITEMS)]
Ids = Annotated[list[Id], Field(max_length=MOST_IDS)]


class Item(BaseModel):
    """A product as it should be shown."""

    rank: int
    item_id: str
    title: str
    category: str
    price: float | None
    presentation: Annotated[str, Field(description="The look: original or a look's name.")]
    image: Annotated[str, Field(description="Address of the picture; empty where there is none.")]
    score: Annotated[float, Field(description="The model's; comparable within one list.")]
    propensity: Annotated[
        float | None,
        Field(description="Chance of this look for this customer and item; send it back with events."),
    ]
    reason: str


ITEM: dict[str, Any] = {
    "rank": 1,
    "item_id": "0108775015",
    "title": "Strap top",
    "category": "Vest top",
    "price": 7.99,
    "presentation": "retro",
    "image": "/images/retro/0108775015?v=c958a6a32e12",
    "score": 6.75,
    "propensity": 0.62,
    "reason": "retro drawn by thompson for customers who lean to retro",
}


class RecommendationList(BaseModel):
    """What one customer is shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "00411",
                    "segment": "retro",
                    "experiment": "spring",
                    "arm": "treatment",
                    "policy": "thompson",
                    "model": "hybrid",
                    "version": "c958a6a32e12",
                    "page_id": "8f14e45fceea167a",
                    "items": [ITEM],
                }
            ]
        }
    )

    user_id: str | None
    segment: str
    experiment: str | None
    arm: str | None
    policy: str
    model: str
    version: str
    page_id: Annotated[str, Field(description="Send it back with events.")]
    items: list[Item]


class Customer(BaseModel):
    """Somebody known by an id, or a stranger with a history or with likings."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user_id": "00411"},
                {"history": ["0108775015", "0156231001"]},
                {"features": {"category": ["Dress"]}},
            ]
        },
    )

    user_id: Id | None = None
    history: Ids | None = None
    features: Annotated[dict[str, Annotated[list[str], Field(max_length=50)]], Field(max_length=20)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Customer:
        if self.history is not None and self.features is not None:
            raise ValueError("give history or features, not both")
        if self.user_id is None and self.history is None and self.features is None:
            raise ValueError("give user_id of a known customer, or history or features of a stranger")
        return self


class BatchRequest(BaseModel):
    """Lists for several customers."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"users": [{"user_id": "00411"}, {"history": ["0108775015"]}], "k": 12}]},
    )

    users: Annotated[list[Customer], Field(min_length=1, max_length=MOST_USERS)]
    k: K = 20
    exclude_seen: bool = True
    allow: Ids | None = None
    deny: Ids = []
    look: str = ""


class BatchAnswer(BaseModel):
    """One list a customer, in the order asked."""

    users: list[RecommendationList]


class Neighbour(BaseModel):
    """A product like another."""

    rank: int
    item_id: str
    title: str
    category: str
    image: str
    score: Annotated[float, Field(description="Cosine in [-1, 1].")]


class Similar(BaseModel):
    """The products most like one."""

    item_id: str
    items: list[Neighbour]


class Look(BaseModel):
    """A product in one look."""

    presentation: str
    accepted: bool
    reason: Annotated[str, Field(description="Why not; empty when accepted.")]
    image: str


class Looks(BaseModel):
    """Every presentation of a product, the original first."""

    item_id: str
    title: str
    presentations: list[Look]


class Style(BaseModel):
    """What a customer's history says of their taste."""

    user_id: str
    segment: str
    lean: Annotated[
        dict[str, float],
        Field(description="Look → standard deviations above the average customer.", examples=[{"retro": 1.3}]),
    ]
    categories: Annotated[dict[str, int], Field(description="Products in the history by category, most first.")]
    history: Annotated[list[str], Field(description="At most 50 item ids.")]


class Part(BaseModel):
    """A summand of a score."""

    kind: str
    name: str
    title: str | None = None
    value: float


class Why(BaseModel):
    """A score, in words and as the sum of its parts."""

    model: str
    user_id: str
    item_id: str
    score: float
    text: str
    parts: list[Part]


class Values(BaseModel):
    """Catalogue columns and their values, by which strangers may be described."""

    features: dict[str, list[str]]


class Health(BaseModel):
    """Whether the service lives, and what it serves."""

    status: str
    version: str | None = None
    model: str | None = None
    items: int | None = None
    users: int | None = None
    reload_error: str | None = None


class Problem(BaseModel):
    """What was refused, and why."""

    detail: Annotated[str, Field(examples=["1 of 1 ids are unknown, first 'x'; 500 ids are known"])]
