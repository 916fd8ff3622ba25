"""How the bundled models are trained; `python -m mnist_dash.train`, with the extra `train`."""
