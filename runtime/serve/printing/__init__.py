"""Printing: a picture for a paper, the printer of CUPS, and the prints that wait for it."""
