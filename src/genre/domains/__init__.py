"""Trades: words, names of columns and defaults of a config for each, as data files, and their reader."""
