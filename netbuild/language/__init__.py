"""The language of a spec: its keys, the rules among them, and what they ask of the maths.

Nothing here imports torch.
"""

from netbuild.language.checked import Spec, load

__all__ = ["Spec", "load"]
