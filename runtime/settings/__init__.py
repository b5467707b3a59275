"""Settings, presets, config files, settings of single faces, and how they are combined."""
