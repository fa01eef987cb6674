"""The pages people look at: the shop window, a product, and the running test."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any

import anyio.to_thread
import jinja2
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from recsys.errors import ConfigError, UnknownIdError
from shop.api import service_of, similar_rows, style_of, why_of
from shop.events import Id
from shop.experiment_view import experiment_view
from shop.listing import wish_of
from shop.service import Published
from shop.views import card_views, look_views, profile_view, user_choices, why_view

router = APIRouter(include_in_schema=False)
PRODUCTS = 24
ALIKE = 6
FOR_EVER = "public, max-age=31536000, immutable"
STATIC = {
    "icon.svg": "image/svg+xml",
    "shop.css": "text/css; charset=utf-8",
    "shop.js": "text/javascript; charset=utf-8",
}
Text = Annotated[str, Query(max_length=256)]


@cache
def _static() -> dict[str, bytes]:
    folder = files("shop") / "static"
    return {name: (folder / name).read_bytes() for name in STATIC}


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("shop", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["assets"] = sha256(b"".join(_static().values())).hexdigest()[:12]
    return made


def render(template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
    """A page; everything that is put into it is escaped."""
    return HTMLResponse(_templates().get_template(template).render(values), status, headers)


def wants_page(request: Request) -> bool:
    """Whether a refusal should be a page rather than JSON."""
    path = request.url.path
    return path in ("/", "/experiment") or path.startswith("/product/")


def problem(request: Request, status: int, words: str, headers: dict[str, str]) -> HTMLResponse:
    """A refusal as a page."""
    return render("problem.html", status, headers, code=status, words=words, title="Not found")


@router.get("/")
async def storefront(request: Request, user: Text = "", look: Text = "") -> HTMLResponse:
    """The shop window as one customer sees it; without a customer, as a stranger does."""
    service = service_of(request)
    published = service.published
    snapshot = published.snapshot
    history = None if user else ()
    shown = await service.show(published, wish_of(snapshot, user, k=PRODUCTS, look=look, history=history))
    return render(
        "storefront.html",
        title=_name(published),
        user=user,
        look=look,
        looks=[name for name in snapshot.looks[1:]],
        users=user_choices(snapshot),
        profile=profile_view(snapshot, style_of(snapshot, user)) if user else None,
        cards=card_views(snapshot, shown),
        arm=shown.arm,
        experiment=service.config.experiment,
        page_id=service.new_page(),
    )


@router.get("/product/{item:path}")
def product(
    request: Request, item: Id, user: Text = "", page: Text = "", shown: Text = "", part: Text = ""
) -> HTMLResponse:
    """One product: its looks side by side, why it is recommended, and what is like it; or one part of that."""
    published = service_of(request).published
    snapshot = published.snapshot
    place = int(snapshot.fitted.items.encode([item])[0])
    values: dict[str, Any] = {
        "title": snapshot.title(place),
        "item": item,
        "user": user,
        "page_id": page,
        "shown": shown if shown in snapshot.looks else "original",
        "category": snapshot.text("category", place),
        "price": snapshot.price(place),
        "looks": look_views(snapshot, place),
        "why": _why(published, user, item) if part in ("", "why") else None,
        "alike": _alike(published, item) if part in ("", "similar") else [],
    }
    return render({"why": "part_why.html", "similar": "part_similar.html"}.get(part, "product.html"), **values)


@router.get("/experiment")
async def experiment(request: Request, part: Text = "") -> HTMLResponse:
    """The running test: who met what, the confidence sequence, health, and what to do."""
    service = service_of(request)
    view = await anyio.to_thread.run_sync(experiment_view, service)
    return render("part_experiment.html" if part else "experiment.html", title=_name(service.published), test=view)


@router.get("/images/{look}/{item:path}")
def image(request: Request, look: str, item: str) -> Response:
    """A picture; its address changes with the run, so it may be kept for ever."""
    data, kind, etag = service_of(request).published.pictures.read(look, item)
    headers = {"etag": etag, "cache-control": FOR_EVER}
    if etag in (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """The style sheet and the script."""
    if name not in STATIC:
        raise UnknownIdError(f"there is no file {name!r}")
    return Response(_static()[name], media_type=STATIC[name], headers={"cache-control": FOR_EVER})


def _why(published: Published, user: str, item: str) -> dict[str, Any]:
    if not user:
        return {"words": "Of a new customer nothing is known yet: these are the products most customers choose."}
    try:
        return why_view(published.snapshot, why_of(published.snapshot, user, item))
    except ConfigError as error:
        return {"words": str(error)}


def _alike(published: Published, item: str) -> list[dict[str, Any]]:
    try:
        return similar_rows(published.snapshot, item, ALIKE)
    except ConfigError:  # the model has no notion of similarity, and the page goes without
        return []


def _name(published: Published) -> str:
    return published.snapshot.study.folder.path.name
