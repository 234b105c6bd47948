"""One training run: the loop, its loss and optimizers, and the state that it continues from."""
