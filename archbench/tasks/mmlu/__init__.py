"""MMLU in three formats over the same items (Hendrycks et al. 2021, arXiv:2009.03300); see docs/mmlu.md."""
