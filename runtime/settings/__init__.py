"""What a user can set: settings, presets, config files, settings of single faces, and what they come to."""
