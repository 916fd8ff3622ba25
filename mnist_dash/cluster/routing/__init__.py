"""How the traffic is divided, and whether the controller does so."""
