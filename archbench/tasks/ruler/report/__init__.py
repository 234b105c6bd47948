"""The kind `ruler` in a report: tables, figures, sentences."""
