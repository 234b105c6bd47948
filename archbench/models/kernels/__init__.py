"""Fast replacements of what transformers computes inside Mamba layers, in plain torch."""
