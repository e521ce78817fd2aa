"""Tell an endpoint about an event, one attempt at a time."""
