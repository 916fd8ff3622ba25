"""What the dashboard's objects are made of, and who else has changed them."""
