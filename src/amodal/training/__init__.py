"""Settings, recipes and the training loop."""
