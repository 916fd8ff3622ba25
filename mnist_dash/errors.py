"""The package's errors: each with its problem and the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_dash.domain import Role


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
    be run here although TensorFlow Serving may run it. `suggestions` are model bases that were probably
    meant. `content` says what lies in the folder instead; the text of the error does not, because it may be
    shown to people who have no business there.
    """

    def __init__(
        self,
        problem: str,
        next_step: str = "",
        *,
        unverified: bool = False,
        suggestions: tuple[str, ...] = (),
        content: str = "",
    ) -> None:
        super().__init__(problem, next_step)
        self.unverified = unverified
        self.suggestions = suggestions
        self.content = content


class ServingError(MnistDashError):
    """A prediction request got no answer, or one that is not a prediction.

    `is_transient` means that a replica died or none was ready: another one may answer the same request.
    `role` and `replica` are those that failed, as far as the response names them.
    """

    def __init__(self, problem: str, next_step: str = "", *, is_transient: bool = False) -> None:
        super().__init__(problem, next_step)
        self.is_transient = is_transient
        self.role: Role | None = None
        self.replica = ""


class EngineError(MnistDashError):
    """The engine refused a change, or failed to apply it.

    `can_take_over` means that others own a field in the cluster, and that taking it over would help. `etag`
    is set if the role was not as `expected`: expecting this instead applies the change all the same.
    """

    def __init__(
        self, problem: str, next_step: str = "", *, can_take_over: bool = False, etag: str = ""
    ) -> None:
        super().__init__(problem, next_step)
        self.can_take_over = can_take_over
        self.etag = etag
