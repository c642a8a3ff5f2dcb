"""The weights of local models: what is installed under KODO_HOME, and how a model gets there.

registry.py: the models that are there. sources.py: the places they come from. gguf.py: is a file a whole model?
pip.py: the way to the package index, also used, as a file, by scripts/checkout.py before anything is installed.
"""
