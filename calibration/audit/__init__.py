"""Check whether half precision is safe for a package's weights, by measuring every intermediate value."""
