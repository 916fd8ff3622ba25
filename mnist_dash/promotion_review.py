"""What speaks for and against making New the Current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mnist_dash.disagreements import Disagreements
from mnist_dash.domain import Deployment, Role
from mnist_dash.traffic import RoleTraffic


@dataclass(frozen=True)
class Remark:
    """A sentence about New, which may be a warning."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class PromotionReview:
    """What is known of both models before a promotion."""

    current: Deployment | None
    new: Deployment | None
    disagreements: Disagreements
    """The search for bundled digits that the models answer differently, as far as it is."""
    traffic: Mapping[Role, RoleTraffic]
    """The figures about all stored answers of each model."""
    unknown_errors: int = 0
    """Failed requests of which it is unknown which of the two had them."""

    @property
    def remarks(self) -> tuple[Remark, Remark]:
        """One remark on accuracy and one on traffic; what is not known is a warning, too."""
        return self._remark_on_accuracy(), self._remark_on_traffic()

    def _remark_on_accuracy(self) -> Remark:
        new = self.new.accuracy if self.new else None
        current = self.current.accuracy if self.current else None
        if new is None:
            return Remark("New is unchecked: its accuracy is unknown.", is_warning=True)
        if not self.current:
            return Remark("There is no Current to compare New with.")
        if current is None:
            return Remark("Current is unchecked: New may be worse.", is_warning=True)
        points = round(100 * (new - current), 1)
        if new < current:
            return Remark(f"New is less accurate by {_points(-points)}.", is_warning=True)
        if new == current:
            return Remark("Both models are equally accurate.")
        return Remark(f"New is more accurate by {_points(points)}.")

    def _remark_on_traffic(self) -> Remark:
        figures = self.traffic[Role.NEW]
        requests = figures.answers + figures.errors
        if not requests:
            return Remark("New has answered no request yet.", is_warning=True)
        if figures.errors == requests == 1:
            return Remark("New's only request failed.", is_warning=True)
        counted = f"{requests:,} request{'' if requests == 1 else 's'}"
        if figures.errors:
            return Remark(f"{figures.errors:,} of New's {counted} failed.", is_warning=True)
        return Remark(f"New answered {counted}, none failed.")


def _points(points: float) -> str:
    if points < 0.1:
        return "less than 0.1 points"
    return f"{points} point{'' if points == 1 else 's'}"
