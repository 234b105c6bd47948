"""Training of controlled families: one token stream, one recipe, many members."""
