"""The scorecard: what the review and test-generation jobs are worth, with a model, without one, beside others."""
