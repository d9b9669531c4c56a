"""Continuous batching: requests join and leave a batch at every step of one thread that owns the model."""
