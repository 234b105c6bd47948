"""Models: loading them and telling them apart."""
