"""Open the dashboard on the engine that the settings name."""

from __future__ import annotations

from mnist_dash.service import Dashboard, Engine
from mnist_dash.serving.client import ServingClient
from mnist_dash.settings import EngineKind, Settings


def open_dashboard(settings: Settings) -> Dashboard:
    """Start the engine that the settings name and return the dashboard on it; close it when done.

    Raises SettingsError if the settings cannot work here, EngineError if the engine cannot start.
    """
    engine: Engine
    if settings.engine is EngineKind.KUBERNETES:
        from mnist_dash.cluster.engine import KubernetesEngine

        engine = KubernetesEngine.start(settings)
    else:
        from mnist_dash.local.engine import LocalEngine

        engine = LocalEngine.start(settings)
    return Dashboard(engine, ServingClient(engine.gateway))
