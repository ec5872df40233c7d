"""The generic controller runtime: cache, queue, controller, lease, admission. No Katib word."""
