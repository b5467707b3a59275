"""Whole photos from file to file, and a cold start of the command line."""
