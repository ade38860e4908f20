"""AmodalRCNN and its mask branches, one method a file."""
