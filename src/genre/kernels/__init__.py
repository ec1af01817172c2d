"""Compiled loops over arrays, one file per computation. Knows NumPy arrays only: no datasets, models or configs."""
