"""The sealer: folds shipped rows into the log, signs checkpoints, and has them anchored."""
