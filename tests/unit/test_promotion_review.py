"""What speaks for and against making New the Current."""

from __future__ import annotations

import pytest

from mnist_dash.disagreements import Disagreements
from mnist_dash.domain import Role
from mnist_dash.promotion_review import PromotionReview, Remark
from mnist_dash.traffic import RoleTraffic
from tests.fakes import deployment


def review(
    current: float | None = 0.924, new: float | None = 0.995, answers: int = 9, errors: int = 0
) -> tuple[Remark, Remark]:
    """Return the remarks on two accuracies, and on New's traffic."""
    return PromotionReview(
        deployment(Role.CURRENT, accuracy=current),
        deployment(Role.NEW, accuracy=new),
        Disagreements(),
        {Role.CURRENT: RoleTraffic(), Role.NEW: RoleTraffic(answers, errors=errors)},
    ).remarks


@pytest.mark.parametrize(
    ("current", "new", "text", "is_warning"),
    [
        (0.924, 0.995, "New is more accurate by 7.1 points.", False),
        (0.995, 0.924, "New is less accurate by 7.1 points.", True),
        (0.914, 0.924, "New is more accurate by 1.0 point.", False),
        (0.9241, 0.924, "New is less accurate by less than 0.1 points.", True),
        (0.924, 0.924, "Both models are equally accurate.", False),
        (0.924, None, "New is unchecked: its accuracy is unknown.", True),
        (None, 0.924, "Current is unchecked: New may be worse.", True),
    ],
)
def test_a_less_accurate_new_is_a_warning(
    current: float | None, new: float | None, text: str, is_warning: bool
) -> None:
    """And so is an accuracy that is not known."""
    assert review(current, new)[0] == Remark(text, is_warning)


@pytest.mark.parametrize(
    ("answers", "errors", "text", "is_warning"),
    [
        (0, 0, "New has answered no request yet.", True),
        (1, 0, "New answered 1 request, none failed.", False),
        (1234, 0, "New answered 1,234 requests, none failed.", False),
        (37, 3, "3 of New's 40 requests failed.", True),
        (0, 1, "New's only request failed.", True),
    ],
)
def test_failed_requests_of_new_are_a_warning(answers: int, errors: int, text: str, is_warning: bool) -> None:
    """And so is a New that nobody has asked yet."""
    assert review(answers=answers, errors=errors)[1] == Remark(text, is_warning)


def test_a_missing_model_is_unchecked() -> None:
    """Somebody may remove it while the dialog is open."""
    traffic = dict.fromkeys(Role, RoleTraffic())
    no_new = PromotionReview(deployment(), None, Disagreements(), traffic)
    assert all(remark.is_warning for remark in no_new.remarks)
    no_current = PromotionReview(None, deployment(Role.NEW), Disagreements(), traffic)
    assert no_current.remarks[0].text == "There is no Current to compare New with."
