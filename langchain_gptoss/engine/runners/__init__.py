"""Engines behind one interface: a model on this machine, a model on a server, or a script."""
