"""Local files in place of the data sets that lm-eval's tasks name."""
