"""How near each graph of a package comes to what the machine can do."""
