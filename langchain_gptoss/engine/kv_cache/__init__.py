"""The paged KV cache: blocks with reference counts, a tree of prefixes, and prefixes saved to disk."""
