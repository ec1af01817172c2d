"""Sources of data: where interactions, items and users are read from. Knows nothing about cleaning."""
