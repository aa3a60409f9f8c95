"""What the server, the workers and the command line agree on: words, messages and bytes."""
