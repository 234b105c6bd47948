"""Data that archbench makes itself: the microworld corpus, its tokenizer, the training stream."""
