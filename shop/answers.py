"""Lists as JSON, put together from parts that were made once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import quote

from shop.showing import Shown
from shop.snapshot import Snapshot


def image_url(snapshot: Snapshot, item: int, look: int) -> str:
    """Address of a picture; "" where there is none. It changes with the run, so that it may be kept for ever."""
    if not snapshot.items.image[item, look]:
        return ""
    name = quote(str(snapshot.fitted.items.ids[item]), safe="")
    return f"/images/{quote(snapshot.looks[look], safe='')}/{name}?v={snapshot.version}"


@dataclass(frozen=True, eq=False)
class Writer:
    """Writes lists of one snapshot.

    Attributes:
        snapshot: What is served.
    """

    snapshot: Snapshot
    _parts: dict[tuple[int, int], str] = field(default_factory=dict)

    def part(self, item: int, look: int) -> str:
        """What is said of an item in a look, without the braces."""
        made = self._parts.get((item, look))
        if made is None:
            about = {
                "item_id": str(self.snapshot.fitted.items.ids[item]),
                "title": self.snapshot.title(item),
                "category": self.snapshot.text("category", item),
                "price": self.snapshot.price(item),
                "presentation": self.snapshot.looks[look],
                "image": image_url(self.snapshot, item, look),
            }
            made = self._parts[(item, look)] = json.dumps(about, ensure_ascii=False)[1:-1]
        return made

    def json(self, shown: Shown, *, policy: str, experiment: str, page_id: str) -> str:
        """One customer's list; see `schemas.RecommendationList`."""
        about = {
            "user_id": shown.user_id or None,
            "segment": shown.segment,
            "experiment": experiment or None,
            "arm": shown.arm,
            "policy": policy if shown.propensity is not None else "asked for",
            "model": self.snapshot.name,
            "version": self.snapshot.version,
            "page_id": page_id,
        }
        chances = [None] * len(shown.items) if shown.propensity is None else shown.propensity.tolist()
        rows = zip(
            shown.items.tolist(), shown.look.tolist(), shown.scores.tolist(), chances, shown.reasons, strict=True
        )
        listed = ",".join(
            f'{{"rank":{rank},{self.part(item, look)},"score":{score:.7g},'
            f'"propensity":{"null" if chance is None else format(chance, ".7g")},"reason":{json.dumps(why)}}}'
            for rank, (item, look, score, chance, why) in enumerate(rows, start=1)
        )
        return f'{json.dumps(about, ensure_ascii=False)[:-1]},"items":[{listed}]}}'
