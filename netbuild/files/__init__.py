"""Arrays out of files that nobody vouches for: where a path may lead, and one reader a format."""
