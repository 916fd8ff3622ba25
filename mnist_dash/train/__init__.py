"""Train the bundled models: `python -m mnist_dash.train`, with the extra `train`."""
