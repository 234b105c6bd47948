"""Speed of archbench's engine beside lm-eval's own, measured in one process on the same model and items."""
