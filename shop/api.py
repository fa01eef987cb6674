"""The routes under /v1: recommendations, similar items, looks, tastes, reasons and events."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from recsys.errors import ConfigError, UnknownIdError
from shop.answers import image_url
from shop.events import Events, Id, Stored
from shop.listing import Wish, liked, wish_of
from shop.queries import ListQuery, list_query, parameters_of
from shop.schemas import (
    BatchAnswer,
    BatchRequest,
    Customer,
    K,
    Looks,
    Problem,
    RecommendationList,
    Similar,
    Style,
    Values,
    Why,
)
from shop.service import Published, Service
from shop.snapshot import Snapshot
from study.explaining import explanation_of

PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The bearer token is missing or wrong."},
    404: {"model": Problem, "description": "An id is unknown."},
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "A value is missing, out of range or of another type."},
    503: {"model": Problem, "description": "Too much waits; try again in a second."},
}
router = APIRouter(prefix="/v1", responses=PROBLEMS)
MOST_VALUES = 100
"""Values of a column that /v1/features lists."""


def service_of(request: Request) -> Service:
    """The service that the application was made with."""
    found: Service = request.app.state.service
    return found


@router.get(
    "/recommendations",
    response_model=RecommendationList,
    tags=["recommend"],
    openapi_extra={"parameters": parameters_of(ListQuery)},
)
async def recommendations(request: Request) -> Response:
    """What to show a known customer: items, each with its look, the chance of that look, and why."""
    service = service_of(request)
    published = service.published
    asked = list_query(request.scope["query_string"])
    wish = wish_of(
        published.snapshot,
        asked.user,
        k=asked.k,
        exclude_seen=asked.exclude_seen,
        allow=asked.allow,
        deny=asked.deny or (),
        look=asked.look,
    )
    return Response(await _list(service, published, wish), media_type="application/json")


@router.post("/recommendations", response_model=BatchAnswer, tags=["recommend"])
async def recommendations_for_many(request: Request, asked: BatchRequest) -> Response:
    """Lists for several customers, strangers among them: known by what they have, or by what they like."""
    service = service_of(request)
    published = service.published
    wishes = [_wish(published.snapshot, customer, asked) for customer in asked.users]
    if len(wishes) > service.config.most_waiting:
        raise ConfigError(f"at most {service.config.most_waiting} customers at a time; send several batches")
    lists = await asyncio.gather(*(_list(service, published, wish) for wish in wishes))
    return Response('{"users":[' + ",".join(lists) + "]}", media_type="application/json")


@router.get("/similar/{item:path}", response_model=Similar, tags=["items"])
def similar(request: Request, item: Id, k: K = 12) -> dict[str, Any]:
    """The products most like one, as the model sees them."""
    return {"item_id": item, "items": similar_rows(service_of(request).published.snapshot, item, k)}


@router.get("/presentations/{item:path}", response_model=Looks, tags=["items"])
def presentations(request: Request, item: Id) -> dict[str, Any]:
    """Every look of a product, and why one may not be shown."""
    snapshot = service_of(request).published.snapshot
    place = int(snapshot.fitted.items.encode([item])[0])
    rows = [
        {
            "presentation": look,
            "accepted": bool(snapshot.items.accepted[place, column]),
            "reason": str(snapshot.items.refusal[place, column]),
            "image": image_url(snapshot, place, column),
        }
        for column, look in enumerate(snapshot.looks)
    ]
    return {"item_id": item, "title": snapshot.title(place), "presentations": rows}


@router.get("/users/{user:path}/style", response_model=Style, tags=["customers"])
def style(request: Request, user: Id) -> dict[str, Any]:
    """What a customer's history says of their taste."""
    return style_of(service_of(request).published.snapshot, user)


@router.get("/explanations", response_model=Why, tags=["customers"])
def explanation(request: Request, user: Id, item: Id) -> dict[str, Any]:
    """Why an item is recommended to a customer: two sentences, and parts that add up to the score."""
    return why_of(service_of(request).published.snapshot, user, item)


@router.get("/features", response_model=Values, tags=["customers"])
def features(request: Request) -> dict[str, Any]:
    """By which columns and values strangers may be described; columns with more than 100 values are left out."""
    frame = service_of(request).published.snapshot.items.frame
    named = {
        str(column): sorted(map(str, frame[column].dropna().unique()))
        for column in frame.columns
        if column not in ("item_id", "image", "title") and frame[column].nunique() <= MOST_VALUES
    }
    return {"features": named}


@router.post("/events", response_model=Stored, status_code=201, tags=["events"])
async def events(request: Request, sent: Events) -> Response:
    """Store events: the answer comes when they are on disk, and an event sent again with its event_id counts once."""
    await service_of(request).store(sent.events)
    return Response(f'{{"stored":{len(sent.events)}}}', status_code=201, media_type="application/json")


async def _list(service: Service, published: Published, wish: Wish) -> str:
    shown = await service.show(published, wish)
    config = service.config
    return published.writer.json(
        shown, policy=config.policy.name, experiment=config.experiment, page_id=service.new_page()
    )


def _wish(snapshot: Snapshot, customer: Customer, asked: BatchRequest) -> Wish:
    history, exclude_seen = customer.history, asked.exclude_seen
    if customer.features is not None:
        # What they are described by is not theirs yet.
        history, exclude_seen = list(liked(snapshot, customer.features)), False
    return wish_of(
        snapshot,
        customer.user_id or "",
        k=asked.k,
        exclude_seen=exclude_seen,
        allow=asked.allow,
        deny=asked.deny,
        look=asked.look,
        history=history,
    )


def similar_rows(snapshot: Snapshot, item: str, k: int) -> list[dict[str, Any]]:
    """The products most like one, as `schemas.Neighbour` has them."""
    found = snapshot.fitted.similar_items([item], k=k)
    places = snapshot.fitted.items.encode(found.item_id)
    return [
        {
            "rank": int(rank),
            "item_id": str(name),
            "title": snapshot.title(int(place)),
            "category": snapshot.text("category", int(place)),
            "image": image_url(snapshot, int(place), 0),
            "score": float(score),
        }
        for rank, name, place, score in zip(found.rank, found.item_id, places, found.score, strict=True)
    ]


def style_of(snapshot: Snapshot, user: str) -> dict[str, Any]:
    """See `schemas.Style`.

    Raises:
        UnknownIdError: The customer is unknown.
    """
    place = int(snapshot.fitted.users.encode([user])[0])
    seen = snapshot.fitted.seen
    items = seen.indices[seen.indptr[place] : seen.indptr[place + 1]]
    names = snapshot.items.frame["category"].iloc[items]
    counts = names[names != ""].value_counts()
    lean = {} if snapshot.taste is None else dict(zip(snapshot.taste.looks, snapshot.taste.lean[place], strict=True))
    return {
        "user_id": user,
        "segment": snapshot.segment(user),
        "lean": {look: round(float(value), 3) for look, value in lean.items()},
        "categories": {str(name): int(count) for name, count in counts.items()},
        "history": [str(i) for i in snapshot.fitted.items.ids[np.asarray(items)[:50]]],
    }


def why_of(snapshot: Snapshot, user: str, item: str) -> dict[str, Any]:
    """See `schemas.Why`.

    Raises:
        ConfigError: The model cannot say why.
        UnknownIdError: The customer or item is unknown.
    """
    for ids, name in ((snapshot.fitted.users, user), (snapshot.fitted.items, item)):
        if name not in ids:
            raise UnknownIdError(f"{name!r} is unknown; {len(ids)} ids are known")
    return explanation_of(snapshot.fitted, user, item, snapshot.data, snapshot.items.frame)
