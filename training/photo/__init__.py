"""The recipe of the photo network, which restores a whole photo and not only its faces."""
