"""A bounded attack on a server, the readers, the audit log and the downloads; see `__main__.py`."""
