"""The one family of errors: what went wrong, where, and what to do next."""

from __future__ import annotations


class MnistDashError(Exception):
    """Base of every error that this package raises for its users.

    `problem` says what is wrong and where, `next_step` what to do about it; both are whole sentences
    (`next_step` may be empty), and `str(error)` is the two together.
    """

    def __init__(self, problem: str, next_step: str = "") -> None:
        super().__init__(problem, next_step)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.problem} {self.next_step}".strip()


class SettingsError(MnistDashError):
    """A flag or an environment variable has a value that cannot be used."""


class DrawingError(MnistDashError):
    """The drawing holds no digit that could be asked about."""


class ModelError(MnistDashError):
    """The SavedModel is missing, unreadable, or not a model of MNIST digits.

    `unverified` means that it may be fit, but cannot be read from here: access denied, no network.
    """

    def __init__(self, problem: str, next_step: str = "", *, unverified: bool = False) -> None:
        super().__init__(problem, next_step)
        self.unverified = unverified


class ServingError(MnistDashError):
    """A prediction was not answered, or answered with something that is not a prediction."""


class EngineError(MnistDashError):
    """A change was refused, or could not be carried out, by the engine.

    `can_take_over` tells that it is refused because somebody else owns a field in the cluster, and would be
    carried out if that was taken over.
    """

    def __init__(self, problem: str, next_step: str = "", *, can_take_over: bool = False) -> None:
        super().__init__(problem, next_step)
        self.can_take_over = can_take_over
