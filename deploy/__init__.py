"""What keeps the project itself in order; nothing that it ships."""
