"""Measurements, side by side; each writes a result file."""
