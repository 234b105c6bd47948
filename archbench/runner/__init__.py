"""From a suite to finished cells: what has to be run, and running it."""
