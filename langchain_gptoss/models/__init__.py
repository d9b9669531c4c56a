"""Models: catalog, shapes, checkpoint validation and the demo models."""
