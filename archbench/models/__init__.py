"""Models: built from a configuration, loaded from a folder or hub, and told apart by fingerprint."""
