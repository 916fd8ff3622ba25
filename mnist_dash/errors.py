"""The package's errors: each with its problem and the next step."""

from __future__ import annotations


class MnistDashError(Exception):
    """Base of every error that this package raises for its users.

    `problem` is a sentence that says what happened and where; `next_step`, which may be empty, says what to
    do about it. `str(error)` is both.
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
    """The drawing holds no digit."""


class ModelError(MnistDashError):
    """The SavedModel is missing, unreadable, or not a model of MNIST digits.

    `unverified` means that it may be fit, but cannot be read from here (access denied, no network), or cannot
    be run here although TensorFlow Serving may run it.
    """

    def __init__(self, problem: str, next_step: str = "", *, unverified: bool = False) -> None:
        super().__init__(problem, next_step)
        self.unverified = unverified


class ServingError(MnistDashError):
    """A prediction request got no answer, or one that is not a prediction.

    `is_transient` means that a replica died or none was ready: another one may answer the same request.
    """

    def __init__(self, problem: str, next_step: str = "", *, is_transient: bool = False) -> None:
        super().__init__(problem, next_step)
        self.is_transient = is_transient


class EngineError(MnistDashError):
    """The engine refused a change, or failed to apply it.

    `can_take_over` means that others own a field in the cluster, and that taking it over would help.
    """

    def __init__(self, problem: str, next_step: str = "", *, can_take_over: bool = False) -> None:
        super().__init__(problem, next_step)
        self.can_take_over = can_take_over
