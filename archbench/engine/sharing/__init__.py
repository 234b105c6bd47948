"""Prefixes that requests share: found in a trie, walked once, forked, and checked to be exact."""
