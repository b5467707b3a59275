"""Faces in a photo: detection, alignment, parsing, regions, and areas without information."""
