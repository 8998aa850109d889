"""The target that points the scenario suite at a real parent instance. It imports no fake."""
