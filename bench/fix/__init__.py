"""How ``kodo fix`` does on small repositories with known faults, with models that behave well, badly and maliciously."""
