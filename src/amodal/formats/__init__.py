"""Annotation files of every format, read and written."""
