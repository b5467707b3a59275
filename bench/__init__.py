"""How fast, how large and how good: measurements, their tables and their records."""
