"""Many runs: conditions and seeds, where they run, and what they say together.

A run's identity is the hash of its resolved spec, by which its folder is called: what has ended is
never trained again, whichever experiment file asks for it.
"""
