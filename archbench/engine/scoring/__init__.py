"""Log-likelihoods: from pairs of texts to rows of tokens, batches, forward passes and sums."""
