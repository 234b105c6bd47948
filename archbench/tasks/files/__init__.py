"""Files that tasks read: rows, texts, lists of names, and duplicates among them."""
