"""Tools that this server runs itself, between two turns of the model: the port, and the loop over it."""
