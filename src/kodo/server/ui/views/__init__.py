"""One module for each page, or for pages about the same thing."""
