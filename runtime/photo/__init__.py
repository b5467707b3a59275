"""Photo files: read any common format, and write the photo back with restored faces."""
