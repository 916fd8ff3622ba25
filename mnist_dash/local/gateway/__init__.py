"""The gateway: one process in front that divides the traffic; `python -m mnist_dash.local.gateway`."""
