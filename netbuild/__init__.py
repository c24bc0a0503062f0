"""Train biologically constrained neural networks from one YAML file."""
