"""What MXNetSeg finds by this package's entry points. Nothing is imported here: data workers need no networks."""
