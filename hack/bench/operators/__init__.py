"""What is measured of kfx: programs made of its runtime alone."""
