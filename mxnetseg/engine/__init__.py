"""Training, evaluation, prediction and the files they leave."""
