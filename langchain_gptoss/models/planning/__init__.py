"""Planning: the hardware of the machine, memory and speed estimates, and the plan of a model with its reasons."""
