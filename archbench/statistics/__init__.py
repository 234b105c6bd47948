"""Estimates and paired comparisons: pure functions of numbers, which know no run and no file."""
