"""Compiled loops over arrays, one file per computation. Knows NumPy arrays only: no datasets, models or configs.

The import of a kernel brings numba, half a second of CPU; that of a network brings torch, two seconds. So the functions
that call them import them, and `from genre import ALS`, `genre check` and `genre list` pay for neither. The verbs of
`cli/` import what they run in the same way.
"""
