"""Photo files: any common format in, the same picture with restored faces out."""
