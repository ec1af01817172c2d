"""The loop for gradient-trained networks, its losses and its negative samples; knows nothing about recommending."""
