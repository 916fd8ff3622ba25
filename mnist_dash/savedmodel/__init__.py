"""Read, load and check a SavedModel; `python -m mnist_dash.savedmodel BASE` checks a model base."""
