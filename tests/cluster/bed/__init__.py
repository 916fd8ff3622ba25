"""A cluster of real parts, but for the kubelet, for the tests to run on."""
