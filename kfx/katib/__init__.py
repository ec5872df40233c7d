"""What Katib decides, as pure functions: values in, a plan out. No I/O, no clock, no randomness."""
