"""Runs behind an API: lists, evidence, events and refreshes. Knows finished runs, nothing about how they are made."""
