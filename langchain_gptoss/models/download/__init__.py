"""Downloads: checkpoints from the model hub, wheels from the package index, checksums, the cache directory."""
