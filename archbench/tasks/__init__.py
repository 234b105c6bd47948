"""What members are evaluated on: one folder for each kind of task entry, and what kinds share.

An *entry* is one key under `tasks:` in a suite. It checks its own data and unfolds into *variants*, each with
the work of its cells. Importing an entry is cheap: lm-eval, datasets and pyarrow are imported when one first
needs them.
"""
