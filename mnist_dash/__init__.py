"""MNIST Dash: roll out a new MNIST model beside the current one, live in the browser."""

from mnist_dash.config import EngineKind, Settings
from mnist_dash.digit import prepare
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
from mnist_dash.errors import (
    DrawingError,
    EngineError,
    MnistDashError,
    ModelError,
    ServingError,
    SettingsError,
)
from mnist_dash.service import Dashboard, Engine, open_dashboard

__all__ = [
    "Comparison",
    "Dashboard",
    "Deployment",
    "DrawingError",
    "Engine",
    "EngineError",
    "EngineKind",
    "EngineObject",
    "MnistDashError",
    "ModelCheck",
    "ModelError",
    "Prediction",
    "Release",
    "Role",
    "Route",
    "ServingError",
    "Settings",
    "SettingsError",
    "Snapshot",
    "State",
    "Strategy",
    "Suggestion",
    "open_dashboard",
    "prepare",
]
