"""What was found in an image: in memory and in files."""
