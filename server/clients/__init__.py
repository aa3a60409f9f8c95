"""Clients, their offers and their keys."""
