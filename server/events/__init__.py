"""What happened: events as lists, and as streams that go on."""
