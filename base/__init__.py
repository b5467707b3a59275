"""What every folder stands on: errors, exit codes, whole-or-nothing files, text for a terminal, all cores."""
