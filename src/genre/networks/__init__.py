"""The PyTorch networks and their batches, built from numbers and arrays; knows nothing about recommenders or files."""
