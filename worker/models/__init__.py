"""The network: a frozen base, and components that train on top of it."""
