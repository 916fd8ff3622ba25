"""A real Kubernetes control plane, ingress and storage for tests, and the tests that run on them."""
