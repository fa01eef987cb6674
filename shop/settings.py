"""What the service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from recsys.errors import ConfigError
from shop.policy import PolicyConfig


@dataclass(frozen=True)
class ShopConfig:
    """Settings of one service.

    Attributes:
        run: The study folder, or a link to the one that is published.
        model: Which of its models.
        events: Folder of the event log; None: ``events`` in the study folder.
        policy: How looks are chosen.
        experiment: Salt of the running test; "": no test.
        allocation: Share of customers in treatment, who meet the policy; the others see originals.
        token: What ``Authorization: Bearer …`` must say; "": nothing.
        hosts: Names by which the service may be called; empty: any.
        reload_seconds: How often a newly published run is looked for.
        most_waiting: Requests that may wait for their recommendations; more are shed with 503.
        most_open: Requests in work of any kind.
        most_bytes: Of a request's body.
        timeout_seconds: From a request's head to the end of its answer.
    """

    run: Path
    model: str = "hybrid"
    events: Path | None = None
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    experiment: str = ""
    allocation: float = 0.5
    token: str = ""
    hosts: tuple[str, ...] = ()
    reload_seconds: float = 2.0
    most_waiting: int = 64
    most_open: int = 512
    most_bytes: int = 256 * 1024
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.allocation < 1:
            raise ConfigError(f"allocation must be between 0 and 1, both excluded, got {self.allocation}")
        for name in ("reload_seconds", "most_waiting", "most_open", "most_bytes", "timeout_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        if len(self.experiment) > 100 or not self.experiment.isprintable():
            raise ConfigError(f"experiment must be up to 100 printable characters, got {self.experiment!r}")

    @property
    def events_folder(self) -> Path:
        """Where events go."""
        return self.run.resolve() / "events" if self.events is None else self.events
