"""Engines work on tables of interactions. Knows nothing of how tables are cleaned or learnt from."""
