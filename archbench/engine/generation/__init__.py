"""Texts that models write: requests, decoding, sampling, branches from one state, and when to stop."""
