"""What can be run here: the catalogue, the user's cache, and the demo model that needs no hub."""
