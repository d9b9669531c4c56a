"""Synchronization of an index with its files: diff, apply, check, manifest, watch."""
