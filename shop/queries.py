"""The query of the busiest route, read in one step.

A framework that looks at parameters one by one costs as much as all the rest of the request.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from shop.events import Id
from shop.schemas import Ids, K

LISTS = ("allow", "deny")


class ListQuery(BaseModel):
    """What `GET /v1/recommendations` may be asked; parameters it does not know are left alone."""

    user: Annotated[Id, Field(description="A known customer.", examples=["00411"])]
    k: Annotated[K, Field(description="List length.")] = 20
    exclude_seen: Annotated[bool, Field(description="Leave out what the customer has.")] = True
    allow: Annotated[Ids | None, Field(description="Only these items; repeatable.")] = None
    deny: Annotated[Ids | None, Field(description="Never these items; repeatable.")] = None
    look: Annotated[str, Field(description="Only products in this look; the policy has no say then.")] = ""


def list_query(text: bytes) -> ListQuery:
    """Read a query string.

    Raises:
        RequestValidationError: A value is missing, out of range or of another type.

    Example:
        >>> list_query(b"user=u%201&k=5&deny=a&deny=b").model_dump(exclude_defaults=True)
        {'user': 'u 1', 'k': 5, 'deny': ['a', 'b']}
    """
    found = parse_qs(text.decode("latin-1"), keep_blank_values=True)
    values = {name: given if name in LISTS else given[-1] for name, given in found.items()}
    try:
        return ListQuery.model_validate(values)
    except ValidationError as error:
        told = [{**e, "loc": ("query", *e["loc"])} for e in error.errors(include_url=False, include_input=False)]
        raise RequestValidationError(told) from error


def parameters_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a model as OpenAPI has query parameters.

    Example:
        >>> [p["name"] for p in parameters_of(ListQuery) if p["required"]]
        ['user']
    """
    schema = model.model_json_schema()
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": about}
        for name, about in schema["properties"].items()
    ]
