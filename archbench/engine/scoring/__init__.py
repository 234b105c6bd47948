"""Batches of rows: what fits into one forward pass, running it, and the log-probabilities read off it."""
