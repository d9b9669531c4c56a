"""Where files come from: the model hub and the package index, with checksums and one cache directory."""
