"""Suggestion algorithms. Each is a function of the experiment and its history."""
