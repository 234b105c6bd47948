"""The kind `phonebook` in a report: tables, figures, sentences."""
