"""Several processes: who takes part in a run, as whatever started them says. Nothing here imports MXNet."""
