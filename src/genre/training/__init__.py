"""The training loop of networks, its options, losses and checkpoints; knows nothing about recommending."""
