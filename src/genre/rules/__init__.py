"""The rules of a shop for its lists: what is hidden, moved up or down, limited, or put at a place."""
