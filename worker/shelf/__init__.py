"""The personal-model shelf at the client: packing, encrypting, putting and getting back."""
