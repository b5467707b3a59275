"""The foundation of all folders: errors, exit codes, whole-or-nothing files, text for a terminal, work on all
cores."""
