"""Forward passes behind one interface: on this machine, on a server, or scripted."""
