"""Keep the unit tests free of processes and of the network."""
