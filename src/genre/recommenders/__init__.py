"""The algorithms: each learns from a Dataset and scores histories. Knows nothing of files, configs and HTTP."""
