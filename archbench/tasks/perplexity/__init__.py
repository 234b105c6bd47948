"""Perplexity of long local texts: by how much context a token has, and by where in a window it stands."""
