"""What the parts of transformers' models keep and cost, a table for each kind, from weights' shapes."""
