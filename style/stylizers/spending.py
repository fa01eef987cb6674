"""What a batch of pictures may cost."""

from __future__ import annotations

import math
import threading

from recsys.errors import ConfigError


class Spending:
    """Counts pictures from several threads, so that their cost never passes a cap.

    Example:
        >>> spending = Spending(0.1, cap=0.3)
        >>> spending.take(), spending.affords(2), spending.affords(3)
        (None, True, False)
    """

    def __init__(self, cost: float, cap: float | None) -> None:
        self._cost, self._cap = cost, cap
        self._most = math.inf if cap is None else math.floor(cap / cost + 1e-9)  # 0.3 / 0.1 is a little less than 3
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """What was spent: pictures asked for, less those certainly not made."""
        return self._taken * self._cost

    def affords(self, n: int) -> bool:
        """Whether ``n`` more pictures stay within the cap."""
        return self._taken + n <= self._most

    def check(self, n: int) -> None:
        """Refuse ``n`` more pictures that the cap does not allow.

        Raises:
            ConfigError: They would cost more than is left.
        """
        if not self.affords(n):
            more = f"{n} more at {self._cost:g} each after {self.spent:g} spent"
            raise ConfigError(f"max_cost {self._cap:g} would be exceeded by {more}; raise it or restyle fewer photos")

    def take(self) -> None:
        """Count one picture before it is asked for; refused like by `check`."""
        with self._lock:
            self.check(1)
            self._taken += 1

    def give_back(self) -> None:
        """One picture that was counted was not made."""
        with self._lock:
            self._taken -= 1
