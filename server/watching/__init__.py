"""What the server's processes can be watched by: metrics for Prometheus."""
