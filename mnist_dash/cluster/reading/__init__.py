"""What is read off a cluster, and told in words."""
