"""The steps of an answer. Each is a flow from the state and the context to the changes of the state."""
