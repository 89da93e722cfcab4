"""One module per command: composition roots, which know the pipeline and the models."""
