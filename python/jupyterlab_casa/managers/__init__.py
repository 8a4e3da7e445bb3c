"""What the server extension knows and does, without HTTP: one manager for each room, which a site can replace."""
