"""Events from streams into the event log: growing files, standard input, Kafka."""
