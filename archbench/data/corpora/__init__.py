"""One file for each corpus; `archbench.data.catalogue` finds them by walking this folder."""
