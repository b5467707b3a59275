"""The foundation of all folders: errors, exit codes, atomic writes, terminal text, work on all cores."""

from base.interruption import let_a_start_be_interrupted

let_a_start_be_interrupted()
