"""Texts and other fields of items and users become vectors; a language model can add texts before. No recommender."""
