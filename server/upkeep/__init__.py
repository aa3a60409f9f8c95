"""What the coordinator does for the artifacts' directory: it collects, and it reads again."""
