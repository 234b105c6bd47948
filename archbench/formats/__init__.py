"""File formats: YAML, JSON and the headers of safetensors files, read within bounds."""
