"""Pictures to look at: before and after, presets, regions, numbered faces, quick checks."""
