"""The kind `lm_eval`: tasks that lm-eval brings."""
