"""From a checkpoint to answers about a picture."""
