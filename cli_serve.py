"""The commands of the shop: `stylerec serve` and `stylerec events`."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import click

from terminal import JSON, PATH, example, show, tell, tell_json

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
TOKEN = "STYLEREC_TOKEN"


@click.command()
@click.argument("run", type=PATH)
@click.option("--model", default="hybrid", show_default=True, help="Which fitted model.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one.")
@click.option("--allow-host", "hosts", multiple=True, help="Further name by which it may be called; repeatable.")
@click.option("--events", type=PATH, help="Folder of the event log; default RUN/events.")
@click.option("--policy", default="best", show_default=True, help="best, epsilon-greedy or thompson.")
@click.option("--epsilon", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Chance of any look.")
@click.option("--experiment", default="", help="Name of the running test: its salt. Default: no test.")
@click.option("--allocation", type=float, default=0.5, show_default=True, help="Share of treatment.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the policy's draws.")
@click.option("--check", is_flag=True, help="Load everything, say what would be served, and end.")
@example("stylerec serve runs/spring --policy thompson --experiment spring")
def serve(
    run: Path,
    model: str,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    events: Path | None,
    policy: str,
    epsilon: float,
    experiment: str,
    allocation: float,
    seed: int,
    check: bool,
) -> None:
    """Put a finished run behind a page and an API: products in the look that suits each customer, and their events.

    If the variable STYLEREC_TOKEN is set, requests need it as bearer token. A run that is published at RUN later is
    taken up without a restart. Needs the extra `serve`.
    """
    from recsys.extras import require

    uvicorn = require("uvicorn", extra="serve")
    require("fastapi", extra="serve")
    from threadpoolctl import threadpool_limits

    from shop.app import create_app
    from shop.policy import PolicyConfig
    from shop.settings import ShopConfig

    config = ShopConfig(
        run=run,
        model=model,
        events=events,
        policy=PolicyConfig(policy, epsilon, seed),  # type: ignore[arg-type]  # checked there
        experiment=experiment,
        allocation=allocation,
        token=os.environ.get(TOKEN, ""),
        hosts=(*LOOPBACK, *hosts) if host in LOOPBACK else hosts,
    )
    app = create_app(config)
    service = app.state.service
    snapshot = service.published.snapshot
    tell(f"serving {len(snapshot.fitted.items)} items to {len(snapshot.fitted.users)} customers by {model}")
    if check:
        service.close()
        return
    tell(f"open http://{host}:{port}/ – events go to {config.events_folder}")
    # What was loaded stays: looking through it for garbage again and again would hold up requests.
    gc.collect()
    gc.freeze()
    # The thread that computes must not wait five milliseconds for the interpreter, nor the one that answers.
    sys.setswitchinterval(0.0005)
    # One thread for products: more would take the processor from the requests that wait.
    with threadpool_limits(limits=1, user_api="blas"):
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=30,
            limit_concurrency=2000,
        )


@click.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for events.parquet, impressions.parquet, plan.toml.")
@click.option("--experiment", help="Whose arms to write; default the latest.")
@JSON
@example("stylerec events runs/spring/events --out logged/")
def events(folder: Path, out: Path, experiment: str | None, as_json: bool) -> None:
    """Turn the event log of `serve` into Parquet that `analyze`, `ope` and `partial_fit` read.

    Segments that are written no more are compacted on the way; the service may go on running. Needs the extra `serve`.
    """
    from dataclasses import asdict

    from recsys.errors import ConfigError
    from recsys.extras import require

    require("pydantic", extra="serve")
    from shop.compaction import compact, write_tables

    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name the event log, such as runs/spring/events")
    done = compact(folder)
    found = write_tables(folder, out, experiment=experiment)
    tell(f"{done} segments compacted; tables in {out}")
    if as_json:
        tell_json(asdict(found))
    else:
        show([{"what": name, "value": value} for name, value in asdict(found).items()], as_json=False)
