"""Phonebook: recall of one number from a list of names and numbers; see docs/phonebook.md."""
