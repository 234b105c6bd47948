"""What a model costs, from its configuration alone: sizes, rooflines, matched widths, and their charts."""
