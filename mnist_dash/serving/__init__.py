"""The TensorFlow Serving REST client: the one way to predict, whichever engine."""

from __future__ import annotations

from mnist_dash.serving.client import ServingClient

__all__ = ["ServingClient"]
