"""Model packages and the engines built from them."""
