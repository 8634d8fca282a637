"""What leaves this machine: the choice of files, the model card, the push to the Hub."""
