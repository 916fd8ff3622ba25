"""Which model gets a request."""

from __future__ import annotations

import itertools
import random

import pytest

from mnist_dash.domain import Role
from mnist_dash.local.gateway.balancer import Dice, decide

NEW, CURRENT = Role.NEW, Role.CURRENT
OTHER_VALUES = [None, "", "Always", "NEVER", "always, never", "always, always", "always ", "new", "100"]
DRAWS = 100_000


class Rolled:
    """Dice that show what they are told to, or must not be thrown at all."""

    def __init__(self, number: int | None = None) -> None:
        self._number = number

    def randint(self, a: int, b: int, /) -> int:
        """The number."""
        assert (a, b) == (1, 100)
        assert self._number is not None, "the dice were thrown"
        return self._number


def decided(
    current: bool = True,
    new: bool = True,
    header: str | None = None,
    split: int = 0,
    dice: Dice | None = None,
) -> Role | None:
    """The decision with both models there, no header, split 0, and dice that must not be thrown."""
    return decide(current=current, new=new, header=header, split=split, dice=dice or Rolled())


@pytest.mark.parametrize("split", [0, 50, 100])
@pytest.mark.parametrize("header", ["always", "never", *OTHER_VALUES])
@pytest.mark.parametrize("new", [True, False])
def test_without_current_nobody_answers(header: str | None, split: int, new: bool) -> None:
    """New is not consulted, whatever the header or the split."""
    assert decided(current=False, new=new, header=header, split=split) is None


@pytest.mark.parametrize("split", [0, 50, 100])
@pytest.mark.parametrize("header", ["always", "never", *OTHER_VALUES])
def test_without_new_current_answers(header: str | None, split: int) -> None:
    """Even a request that is forced to New, and even at 100 percent."""
    assert decided(new=False, header=header, split=split) is CURRENT


@pytest.mark.parametrize("split", [0, 50, 100])
@pytest.mark.parametrize(("header", "role"), [("always", NEW), ("never", CURRENT)])
def test_the_header_decides_before_the_split(header: str, role: Role, split: int) -> None:
    """A forced request goes where it is forced to under every strategy, without a draw."""
    assert decided(header=header, split=split) is role


@pytest.mark.parametrize("header", OTHER_VALUES)
@pytest.mark.parametrize(
    ("split", "number", "role"),
    [
        (0, 1, CURRENT),
        (1, 1, NEW),
        (1, 2, CURRENT),
        (20, 20, NEW),
        (20, 21, CURRENT),
        (99, 100, CURRENT),
        (100, 100, NEW),
    ],
)
def test_any_other_header_leaves_it_to_the_split(
    header: str | None, split: int, number: int, role: Role
) -> None:
    """New gets the request if a number from 1 to 100 is no greater than the split."""
    assert decided(header=header, split=split, dice=Rolled(number)) is role


@pytest.mark.parametrize("split", [0, 1, 20, 50, 99, 100])
def test_new_gets_its_share(split: int) -> None:
    """Within five standard deviations of the binomial distribution."""
    dice = random.Random(split)
    got = sum(decided(split=split, dice=dice) is NEW for _ in range(DRAWS))
    share = split / 100
    assert abs(got - DRAWS * share) <= 5 * (DRAWS * share * (1 - share)) ** 0.5


def test_draws_are_independent() -> None:
    """After a request to New the next one goes there as often as ever, within five standard deviations."""
    dice = random.Random(1)
    roles = [decided(split=20, dice=dice) for _ in range(DRAWS)]
    after_new = [second for first, second in itertools.pairwise(roles) if first is NEW]
    got = sum(role is NEW for role in after_new)
    assert abs(got - len(after_new) * 0.2) <= 5 * (len(after_new) * 0.2 * 0.8) ** 0.5
