"""Activation ranges and quantisation of a package will live here."""
