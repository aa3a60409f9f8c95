"""What stands for the clients: models, data, training, and the talk with the coordinator."""
