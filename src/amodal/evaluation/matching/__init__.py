"""Which detection is compared with which instance, and as what."""
