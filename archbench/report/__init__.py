"""From results to what goes into a paper: tables, figures, and a page that says in words what they show."""
