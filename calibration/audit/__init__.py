"""Is half precision safe for the weights of a package? Every value on the way is measured and judged."""
