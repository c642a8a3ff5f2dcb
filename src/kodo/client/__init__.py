"""The way of the toolkit to any Responses API: endpoint, retries, budget, ledger."""
