"""A member of a run: its files, its model, and what the work of a cell sees of it."""
