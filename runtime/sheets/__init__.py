"""Pictures for the user: before and after, presets, regions, numbered faces, quick checks."""
