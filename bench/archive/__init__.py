"""Archives on Ray: photos that are really restored, and many more that are only slept for."""
