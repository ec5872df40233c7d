"""A real Kubernetes cluster on one Linux machine without Docker, for ``make run`` and the tests."""
