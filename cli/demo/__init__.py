"""The demonstration: three jobs on the same data, then what federation gave."""
