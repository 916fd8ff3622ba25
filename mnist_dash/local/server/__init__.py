"""The model server: one model behind TensorFlow Serving's REST API; `python -m mnist_dash.local.server`."""
