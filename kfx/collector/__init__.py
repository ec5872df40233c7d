"""The metrics collector that runs beside the training container. Imports nothing of the rest of kfx."""
