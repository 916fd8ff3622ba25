"""MNIST Dash: roll out a new MNIST model beside the current one, live in the browser."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_dash.disagreements import Disagreements
    from mnist_dash.domain import (
        Comparison,
        Deployment,
        EngineObject,
        ModelCheck,
        Prediction,
        Release,
        Role,
        Route,
        Snapshot,
        State,
        Strategy,
        Suggestion,
    )
    from mnist_dash.engine import Engine
    from mnist_dash.errors import (
        DrawingError,
        EngineError,
        MnistDashError,
        ModelError,
        ServingError,
        SettingsError,
    )
    from mnist_dash.evidence.canary_check import CanaryCheck, CheckedDigit, CheckOptions, DigitSource, Guard
    from mnist_dash.evidence.labelled_drawings import (
        DrawingTally,
        LabelledDrawing,
        LabelledDrawings,
        RecordedPrediction,
    )
    from mnist_dash.evidence.rollout import Rollout, RolloutPlan, RolloutStatus
    from mnist_dash.evidence.verdict import Outcome, Terms, Verdict
    from mnist_dash.preprocessing import prepare
    from mnist_dash.promotion_review import PromotionReview
    from mnist_dash.service import Dashboard
    from mnist_dash.settings import EngineKind, Settings
    from mnist_dash.traffic import Answer, Traffic

# fmt: off
__all__ = [
    "Answer", "CanaryCheck", "CheckOptions", "CheckedDigit", "Comparison", "Dashboard", "Deployment",
    "DigitSource", "Disagreements", "DrawingError", "DrawingTally", "Engine", "EngineError", "EngineKind",
    "EngineObject", "Guard", "LabelledDrawing", "LabelledDrawings", "MnistDashError", "ModelCheck",
    "ModelError", "Outcome", "Prediction", "PromotionReview", "RecordedPrediction", "Release", "Role",
    "Rollout", "RolloutPlan", "RolloutStatus", "Route", "ServingError", "Settings", "SettingsError",
    "Snapshot", "State", "Strategy", "Suggestion", "Terms", "Traffic", "Verdict", "open_dashboard",
    "prepare",
]
# fmt: on

_HOMES = (
    "errors",
    "domain",
    "settings",
    "preprocessing",
    "traffic",
    "disagreements",
    "promotion_review",
    "evidence.verdict",
    "evidence.canary_check",
    "evidence.rollout",
    "evidence.labelled_drawings",
    "engine",
    "service",
)


def open_dashboard(settings: Settings) -> Dashboard:
    """Start the engine that the settings name and return the dashboard on it; close it when done.

    Raises SettingsError if the settings cannot work here, EngineError if the engine cannot start.
    """
    from mnist_dash.evidence.drawings import DrawingStore
    from mnist_dash.service import Dashboard
    from mnist_dash.serving.client import ServingClient
    from mnist_dash.settings import EngineKind

    engine: Engine
    if settings.engine is EngineKind.KUBERNETES:
        from mnist_dash.cluster.engine import KubernetesEngine

        engine = KubernetesEngine.start(settings)
    else:
        from mnist_dash.local.engine import LocalEngine

        engine = LocalEngine.start(settings)
    return Dashboard(engine, ServingClient(engine.gateway), DrawingStore(settings.state_dir / "drawings.db"))


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the engine's processes start sooner without all of them."""
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"{__name__}.{home}")
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
