"""Videos and cameras, frame by frame."""
