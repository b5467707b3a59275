"""Archives on Ray: a small one that is really restored, and a large one that is simulated."""
