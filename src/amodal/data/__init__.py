"""Files and made scenes, as annotations and as training samples."""
