"""Sheets of the kinds of photo that presets are meant for, to look at."""
