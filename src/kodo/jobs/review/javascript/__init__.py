"""JavaScript and TypeScript: what a change touched is run in both versions, with node, in the sandbox."""
