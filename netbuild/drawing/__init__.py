"""How figures look, and the drawing of a weight matrix: knows tensors and matplotlib alone."""
