"""What one field of a spec alone cannot tell: widths, files against sizes, targets, memory.

The checks are functions over whatever parsed, and none of them imports torch.
"""

from netbuild.check.checked import Spec, load
from netbuild.masks import project_root

__all__ = ["Spec", "load", "project_root"]
