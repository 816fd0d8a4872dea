"""What actors, tasks and objects are made of on the Python side."""
