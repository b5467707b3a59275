"""Portraits: reading them, damaging them, and measuring how near a restored one comes to the truth."""
