"""The search on the web as a tool of the model: back ends, pages behind a guard, citations."""
