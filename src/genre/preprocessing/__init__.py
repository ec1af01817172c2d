"""Preprocessing: from files, frames and databases to a cleaned, numbered, split dataset. Knows no recommender."""
