"""A web page on which anybody can try a model."""
