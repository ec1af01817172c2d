"""Finding items by filters, titles and queries in words. Knows items, nothing about users or recommenders."""
