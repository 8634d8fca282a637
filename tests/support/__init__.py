"""Stand-ins that several test folders share."""
