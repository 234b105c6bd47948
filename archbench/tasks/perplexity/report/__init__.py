"""The kind `perplexity` in a report: tables, figures, sentences."""
