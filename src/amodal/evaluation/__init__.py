"""Numbers one can trust, of any system's results."""
