"""The kind `mmlu` in a report: tables, figures, sentences."""
