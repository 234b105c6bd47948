"""What the parts of transformers' models keep and cost, a table for each kind, told from weights' shapes."""
