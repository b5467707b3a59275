"""Hostile input for what reads files and words from outside: by mutation, and guided by coverage."""
