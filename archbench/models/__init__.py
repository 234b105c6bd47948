"""Models: built from a configuration, loaded from a folder or hub, identified by their fingerprint."""
