"""Where tables are worked on: one language of lazy frames, an engine underneath. Does not know what the tables hold."""
