"""Arrays from files that are not trusted: where a path may lead, and a reader for each format."""
