"""Words that tables, figures and sentences share: names, captions, what is missing."""
