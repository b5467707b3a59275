"""The tests; `tests.fuzz` is also a program."""
