"""The photo network, which restores the rest of a photo, and the form of it that is exported."""
