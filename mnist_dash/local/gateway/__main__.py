"""Run the gateway."""

from mnist_dash.local.gateway.process import main

main()
