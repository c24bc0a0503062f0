"""The figures, one file each: `name(source, ax=None, *, option=...)` returns a Drawing."""
