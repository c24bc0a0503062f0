"""The words: from YAML bytes to the models of the language. Nothing here imports torch."""
