"""How a model runs on a machine: hardware, memory and speed estimates, and the plan with its reasons."""
