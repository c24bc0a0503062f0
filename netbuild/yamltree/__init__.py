"""YAML text to a tree whose nodes know their places, and back; no key of the language is known."""
