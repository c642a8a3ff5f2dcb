"""The search for tools that the model is not shown at first."""
