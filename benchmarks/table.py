"""What the benchmarks print."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One ratio, or milliseconds: ``measured`` should be at most ``target``, or at least, when ``floor``.

    Without a target it is for information.
    """

    name: str
    what: str
    target: float | None
    measured: float | None
    detail: str = ""
    floor: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        if self.target is None:
            return None
        if self.measured is None:
            return False
        return self.measured >= self.target if self.floor else self.measured <= self.target

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "met": self.met}

    def line(self) -> str:
        """For people."""
        sign = ">=" if self.floor else "<="
        target = f"{sign} {self.target:g}" if self.target is not None else ""
        measured = f"{self.measured:.2f}" if self.measured is not None else "-"
        verdict = {True: "met", False: "NOT MET", None: ""}[self.met]
        return f"{self.name:<18}{self.what:<52.52}{target:>9}{measured:>9}  {verdict:<8}  {self.detail}"


HEADER = f"{'row':<18}{'what':<52}{'target':>9}{'measured':>9}"
