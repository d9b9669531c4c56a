"""Synchronization of an index with its sources: diff, apply, check, manifest, watch."""
