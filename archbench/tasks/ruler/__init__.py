"""RULER: thirteen tasks on long contexts (Hsieh et al. 2024, arXiv:2404.06654); see docs/ruler.md."""
