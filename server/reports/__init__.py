"""Reports: what federation gave, per client and task."""
